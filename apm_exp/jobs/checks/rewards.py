"""Whether the pairs of a data set can have the rewards that its metric and loss ask for, as far as its files tell."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.told import told
from apm_exp.selection.metrics.preflight import needs_rewards


def check_rewards(config: Mapping[str, Any]) -> None:
    """Raise ValueError if the files of the data set bring no rewards, no source gives some, and some are needed.

    Looks at the first rows of the files; what only all rows or the Hub can tell is known once the pairs are there.
    """
    from apm_exp.data.sources.preflight import preflight

    rewarded = preflight(dict(config["dataset"]))
    if rewarded is False and told("reward", config["reward"], "OF_THE_DATA"):
        _refuse_metric(config)
        if config["until"] is None:
            _refuse_loss(config["loss"])


def refuse_split_of_others(dataset: Mapping[str, Any]) -> None:
    """Raise ValueError for a held-out split beside pairs that are sampled here: that split has others' responses."""
    if split := dataset.get("holdout_split"):
        remedy = "set dataset.holdout_split=null, and dataset.holdout to a share of the prompts"
        problem = "its pairs are not of responses that the pipeline samples"
        raise ValueError(f"dataset.holdout_split={split}: {problem}; {remedy}")


def _refuse_metric(config: Mapping[str, Any]) -> None:
    if needs_rewards(config["metric"]):
        from apm_exp.data.sources.preflight import where_of

        name = config["metric"]["_target_"].split(".")[-2]
        raise ValueError(
            f"reward=recorded: the metric {name} needs rewards and the rows of {where_of(config['dataset'])} "
            "have none; name their columns (dataset.chosen_reward=, "
            "dataset.rejected_reward=), score them with a reward model (reward=classifier reward.path=FOLDER), "
            "or take metric=implicit or metric=uniform"
        )


def _refuse_loss(loss: Mapping[str, Any]) -> None:
    from apm_exp.training.objective import NO_REWARDS, fields_read

    if "rewards" in fields_read(loss):
        raise ValueError(f"loss._target_={loss['_target_']}: this loss needs rewards, the rows have none; {NO_REWARDS}")
