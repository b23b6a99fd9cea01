"""Check that the pairs of a data set can have the rewards that the metric and the loss need."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.nested import every
from apm_exp.core.told import told
from apm_exp.selection.metrics.preflight import needs_rewards
from apm_exp.training.loss_reads import NO_REWARDS, reads_rewards


def check_rewards(config: Mapping[str, Any]) -> None:
    """Raise ValueError if rewards are needed, and neither the data set nor a reward source provides them.

    Only the first rows of the files are read; the rest is checked when the pairs are built.
    """
    if _lacks_rewards(config):
        _refuse_metric(config)
        if config["until"] is None:
            _refuse_loss(config["loss"])


def check_rewarded(config: Mapping[str, Any]) -> None:
    """Raise ValueError if the rewards are what is evaluated, and neither the data set nor a source provides them."""
    from apm_exp.data.sources.preflight import where_of

    if _lacks_rewards(config):
        remedy = "name their columns (dataset.chosen_reward=, dataset.rejected_reward=), or give a source to evaluate"
        problem = f"the rows of {where_of(config['dataset'])} have none; {remedy}, such as reward=classifier"
        raise ValueError(f"reward={component.name_of(config['reward'])}: {problem} reward.path=FOLDER")


def _lacks_rewards(config: Mapping[str, Any]) -> bool:
    """Return whether a reward source reads the rewards of the data set, and its first rows have none."""
    from apm_exp.data.sources.preflight import preflight

    rewarded = None if told("dataset", config["dataset"], "RATED") else preflight(dict(config["dataset"]))
    recorded = (told(place, each, "OF_THE_DATA") for place, each in every("reward", config["reward"]))
    return rewarded is False and any(recorded)


def refuse_split_of_others(dataset: Mapping[str, Any]) -> None:
    """Raise ValueError for a held-out split if responses are sampled here, since the split has other responses."""
    if split := dataset.get("holdout_split"):
        remedy = "set dataset.holdout_split=null, and dataset.holdout to a share of the prompts"
        problem = "its responses are not sampled by this pipeline"
        raise ValueError(f"dataset.holdout_split={split}: {problem}; {remedy}")


def refuse_prompts_of_no_world(config: Mapping[str, Any]) -> None:
    """Raise ValueError if prompts are evolved that the reward source of a world cannot reward."""
    world = told("reward", config["reward"], "WORLD")
    if told("pipeline", config["pipeline"], "EVOLVES") and world not in (
        None,
        told("evolve", config["evolve"], "WORLD"),
    ):
        problem = f"reward={world} rewards only tasks of its world, and evolved prompts are others"
        remedy = "use evolve=procedural, or another reward="
        raise ValueError(f"evolve={component.name_of(config['evolve'])}: {problem}; {remedy}")


def _refuse_metric(config: Mapping[str, Any]) -> None:
    if needs_rewards(config["metric"]):
        from apm_exp.data.sources.preflight import where_of

        name = config["metric"]["_target_"].split(".")[-2]
        raise ValueError(
            f"reward=recorded: the metric {name} needs rewards, but the rows of {where_of(config['dataset'])} "
            "have none; name their columns (dataset.chosen_reward=, "
            "dataset.rejected_reward=), score them with a reward model (reward=classifier reward.path=FOLDER), "
            "or use metric=implicit or metric=uniform"
        )


def _refuse_loss(loss: Mapping[str, Any]) -> None:
    if reads_rewards(loss):
        problem = "this loss needs rewards, but the rows have none"
        raise ValueError(f"loss._target_={loss['_target_']}: {problem}; {NO_REWARDS}")
