"""Everything that can be known to be wrong before any work is done."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp import component
from apm_exp.alpha_rules.choose import check_rule
from apm_exp.component import Function
from apm_exp.lockable import check_lockable
from apm_exp.metrics.preflight import check_metric, needs_rewards
from apm_exp.pinned import is_reward_model, pinned_dataset, reward_is_here
from apm_exp.secrets_check import flatten, refuse_secrets
from apm_exp.settings import NODES, check_top_level

logger = logging.getLogger(__name__)
_OPEN_NODES = ("deepspeed",)  # checked by the library that it belongs to


def check_config(config: Mapping[str, Any]) -> None:
    """Check every name, type and range of a job's configuration; raises a one-line ValueError."""
    refuse_secrets(flatten(config))
    check_top_level(config)
    component.trust(config["trusted_packages"])
    if config["compare"] is None:
        raise ValueError("compare=null: must be metrics by name; write compare={} for none")
    for group in NODES:
        node = config[group]
        if node and not isinstance(node, Mapping):
            raise ValueError(f"{group}={node}: must be settings by name; look at the option's file")
        if node and group not in _OPEN_NODES:
            _check_group("model.adapter" if group == "adapter" else group, node)


def _check_group(group: str, node: Mapping[str, Any]) -> None:
    nested = {"evals": node, "compare": node}.get(group)
    for name, inner in nested.items() if nested else ((group, node),):
        label = f"{group}.{name}" if nested else group
        if not isinstance(inner, Mapping):
            typed = "null" if inner is None else inner
            raise ValueError(
                f"{label}={typed}: must be settings by name, with a _target_; write ~{label} to leave it out"
            )
        function = component.locate(label, inner)
        component.check(label, inner, (function, *_companions(group, inner)))
        component.check_together(function, inner)


def _companions(group: str, node: Mapping[str, Any]) -> list[Function]:
    """Functions whose settings stand in the same node as the component's own."""
    if group == "dataset":
        from apm_exp.data.reader import companions

        return companions(node)
    if group == "model":
        from apm_exp.models.loading import loading

        return [loading]
    if group == "reward":
        from apm_exp.margins import explicit_margin

        return [explicit_margin]
    return []


def check_inputs(config: Mapping[str, Any]) -> bool | None:
    """Check what the configuration points at: files, device, metric, rewards, the output folder.

    Returns whether there are rewards to be had (None: only the rows can tell). Raises a one-line ValueError.
    """
    from apm_exp.data.count import count_rows
    from apm_exp.keep.preflight import check_keep
    from apm_exp.odd_files import refuse_odd_files
    from apm_exp.policies import check_source
    from apm_exp.runtime import check_devices

    refuse_odd_files(config)
    _check_writable(Path(config["output_root"]))
    check_devices(config["runtime"])
    check_metric(config["metric"])
    with_rewards = check_rewards(config)
    check_source(config)
    rows = count_rows(config["dataset"])
    check_keep(config["keep"], rows)
    check_rule(config["metric"], config["alpha_rule"], config["keep"], rows)
    return with_rewards


def check_work(config: Mapping[str, Any], with_rewards: bool | None) -> None:
    """Check what takes the large libraries to know: the models and the training; and which commit of a Hub dataset is
    meant. Raises a one-line ValueError.

    with_rewards: what check_inputs returned.
    """
    from apm_exp.adapters.preflight import check_adapter
    from apm_exp.memory.check import check_before_work
    from apm_exp.training.preflight import check_training

    pinned_dataset(config["dataset"], config["task"])
    trains = config["until"] is None
    if trains:
        check_adapter(config["adapter"], **{name: config[name] for name in ("trainer", "runtime", "deepspeed")})
    known = _check_model(config)
    if trains:
        nodes = {name: config[name] for name in ("trainer", "loss", "runtime", "deepspeed")}
        check_training(**nodes, dtype=config["model"]["dtype"])
        check_loss_takes(config["loss"], with_rewards)
    if trains and known:
        check_before_work(config)
    if is_reward_model(config["reward"]):
        _check_reward_model(config)


def _check_writable(root: Path) -> None:
    parent = root.absolute()
    while not parent.exists():
        parent = parent.parent
    try:
        with tempfile.TemporaryFile(dir=parent) as file:
            check_lockable(file, parent, root)
    except OSError as error:
        raise ValueError(
            f"output_root={root}: cannot write below {parent} ({error.strerror}); choose another folder"
        ) from error


def _check_model(config: Mapping[str, Any]) -> bool:
    """Check the model node, and the folder that it names; returns False where a plan has no folder to look at."""
    from apm_exp.adapters.preflight import check_layers
    from apm_exp.models.attention import check_attention
    from apm_exp.models.device import pick_device
    from apm_exp.models.pretrained import is_here
    from apm_exp.policies import builds_model

    check_attention(config["model"]["attention"], pick_device(dict(config["runtime"])))
    if not builds_model(config["model"]):
        if config["task"] == "plan" and not is_here(config["model"]):
            logger.warning("model.path=%s: not here yet; a run downloads it first", config["model"]["path"])
            return False
        from apm_exp.models.preflight import preflight

        model = preflight(component.bind("model", config["model"])(), dict(config["model"]))
        check_layers(config["adapter"], model)
    elif template := config["model"].get("chat_template"):
        raise ValueError(f"model.chat_template={template}: this model is built here and brings its own template")
    return True


def _check_reward_model(config: Mapping[str, Any]) -> None:
    """Check the folder of the reward model; a plan downloads none."""
    if config["task"] == "plan" and not reward_is_here(config["reward"]):
        logger.warning("reward.path=%s: not here yet; a run downloads it first", config["reward"]["path"])
        return
    from apm_exp.rewards.preflight import preflight

    preflight(config["reward"])


def check_rewards(config: Mapping[str, Any]) -> bool | None:
    """Whether the pairs have rewards: generated ones do, a reward source other than `recorded` gives them.

    None if only the rows themselves can tell: the Hub's, and those of which some may have none if the metric asks for
    none (`uses_rewards`).
    """
    if config["generate"]:
        _refuse_split_of_others(config["dataset"])
        return True
    from apm_exp.data.preflight import preflight

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
        from apm_exp.data.preflight import where_of

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
