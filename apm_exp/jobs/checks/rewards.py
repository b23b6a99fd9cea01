"""Whether the pairs of a job have rewards, and whether its metric and loss can do without."""

from collections.abc import Mapping
from typing import Any

from apm_exp.selection.metrics.preflight import needs_rewards


def check_rewards(config: Mapping[str, Any]) -> bool | None:
    """Whether the pairs have rewards: generated ones do, a reward source other than `recorded` gives them.

    None if only the rows themselves can tell: the Hub's, and those of which some may have none if the metric asks for
    none (`uses_rewards`).
    """
    if config["generate"]:
        _refuse_split_of_others(config["dataset"])
        return True
    from apm_exp.data.sources.preflight import preflight

    recorded = preflight(dict(config["dataset"]))
    if _reward_source(config) != "recorded":
        return True
    if recorded is False:
        refuse_missing_rewards(config)
    return recorded if recorded is False or needs_rewards(config["metric"]) else None


def uses_rewards(config: Mapping[str, Any]) -> bool:
    """Whether the metric, or the loss of a job that trains, asks for rewards: pairs without are then left out."""
    from apm_exp.training.objective import fields_read

    return needs_rewards(config["metric"]) or (config["until"] is None and "rewards" in fields_read(config["loss"]))


def _refuse_split_of_others(dataset: Mapping[str, Any]) -> None:
    """Raise ValueError for a held-out split beside pairs that are sampled here: that split has others' responses."""
    if split := dataset.get("holdout_split"):
        remedy = "set dataset.holdout_split=null, and dataset.holdout to a share of the prompts"
        raise ValueError(
            f"dataset.holdout_split={split}: its pairs are not of responses that generate= samples; {remedy}"
        )


def _reward_source(config: Mapping[str, Any]) -> str:
    return str(config["reward"]["_target_"]).rpartition(".")[2]


def refuse_missing_rewards(config: Mapping[str, Any]) -> None:
    """Raise ValueError where the metric asks for the rewards that the rows do not have."""
    if needs_rewards(config["metric"]):
        from apm_exp.data.sources.preflight import where_of

        name = config["metric"]["_target_"].split(".")[-2]
        raise ValueError(
            f"reward=recorded: the metric {name} needs rewards and the rows of {where_of(config['dataset'])} "
            "have none; name their columns (dataset.chosen_reward=, "
            "dataset.rejected_reward=), score them with a reward model (reward=classifier reward.path=FOLDER), "
            "or take metric=implicit or metric=uniform"
        )


def check_loss_takes(loss: Mapping[str, Any], with_rewards: bool | None) -> None:
    """Raise ValueError where the loss asks for rewards that the rows do not have, or refuses its own settings."""
    from apm_exp.training.objective import NO_REWARDS, check_numbers, fields_read

    if "rewards" in fields_read(loss) and with_rewards is False:
        raise ValueError(f"loss._target_={loss['_target_']}: this loss needs rewards, the rows have none; {NO_REWARDS}")
    check_numbers(loss)
