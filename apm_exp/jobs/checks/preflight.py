"""The checks of a job's configuration before any work: settings, files, device, models and training."""

import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.nested import every
from apm_exp.core.told import ask, told
from apm_exp.jobs.checks.file_locks import check_lockable
from apm_exp.jobs.checks.judges import check_judges
from apm_exp.jobs.checks.policy import check_model
from apm_exp.jobs.checks.rewards import (
    check_rewarded,
    check_rewards,
    refuse_prompts_of_no_world,
    refuse_split_of_others,
)
from apm_exp.jobs.checks.top_level import NODES, OPEN_NODES
from apm_exp.pipeline.changes import changed_configs
from apm_exp.pipeline.nodes import has_policy, samples
from apm_exp.pipeline.resolve import pinned_dataset
from apm_exp.pipeline.stages.pairs import most_of_prompt
from apm_exp.selection.alpha_rules.choose import check_rule
from apm_exp.selection.metrics.preflight import check_metric, check_weights

logger = logging.getLogger(__name__)


def check_inputs(config: Mapping[str, Any]) -> None:
    """Check the inputs that the configuration names: files, device, metric, rewards, output folder.

    Raises a one-line ValueError.
    """
    from apm_exp.core.odd_files import refuse_odd_files
    from apm_exp.runtime.settings import check_devices
    from apm_exp.selection.keep.preflight import check_keep

    refuse_odd_files(config)
    _check_writable(Path(config["output_root"]))
    check_devices(config["runtime"])
    if not has_policy(config):
        check_rewarded(config)
        _check_prompts(config)
        return
    if told("dataset", config["dataset"], "RATED"):
        problem = "its rows are rated responses, no pairs; use pipeline=reward_eval"
        raise ValueError(f"dataset={component.name_of(config['dataset'])}: {problem}, or another dataset=")
    check_metric(config["metric"])
    if samples(config):
        refuse_split_of_others(config["dataset"])
        refuse_prompts_of_no_world(config)
    else:
        check_rewards(config)
    _check_prompts(config)
    check_weights(config["keep"], config["metric"])
    rows = _most_pairs(config)
    check_keep(config["keep"], rows)
    check_rule(config["metric"], config["alpha_rule"], config["keep"], rows)


def _most_pairs(config: Mapping[str, Any]) -> int | None:
    """Return the maximum number of training pairs that are ranked, or None if unknown; of sampled responses, those
    of the pairing rule. Those of evolved prompts are bounded by the steps (foresee.py).
    """
    from apm_exp.core.split import number_held_out
    from apm_exp.data.sources.count import count_rows
    from apm_exp.data.sources.holdout import holdout_of

    if told("pipeline", config["pipeline"], "EVOLVES"):
        return None
    rows = count_rows(config["dataset"])
    if rows is None or not samples(config):
        return rows
    train = rows - number_held_out(rows, holdout_of(config["dataset"], config["until"]))
    return train * most_of_prompt(config["pairing"], config["generate"])


def _check_prompts(config: Mapping[str, Any]) -> None:
    """Check that the first rows have prompts if responses are sampled, and that the reward source accepts them."""
    from apm_exp.data.generate.preflight import check_prompts, first_prompts

    if samples(config):
        check_prompts(config["dataset"])
    for place, node in every("reward", config["reward"]):
        if told(place, node, "check_prompt") is not None:
            for prompt in first_prompts(config["dataset"]):
                ask(place, node, "check_prompt", prompt.messages)
    if config["until"] is None and has_policy(config):
        check_judges(config)


def check_work(config: Mapping[str, Any]) -> None:
    """Check the models and the training, for which the large libraries are imported, and the commit of a Hub dataset.

    Raises a one-line ValueError.
    """
    from apm_exp.jobs.plan.memory.check import check_before_work
    from apm_exp.training.adapters.preflight import check_adapter
    from apm_exp.training.objective import check_numbers
    from apm_exp.training.preflight import check_training

    pinned_dataset(config["dataset"], config["task"])
    if not has_policy(config):
        _check_components(config, ("dataset", "reward", "pipeline"))
        return
    if config["until"] is None:
        check_adapter(config["adapter"], **{name: config[name] for name in ("trainer", "runtime", "deepspeed")})
    known = check_model(config)
    if config["until"] is None:
        for each in (config, *changed_configs(config).values()):
            nodes = {name: each[name] for name in ("trainer", "loss", "runtime", "deepspeed")}
            check_training(**nodes, dtype=config["model"]["dtype"])
            check_numbers(each["loss"])
    if config["until"] is None and known:
        check_before_work(config)
    _check_components(config, (*NODES, *OPEN_NODES))


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


def _check_components(config: Mapping[str, Any], groups: Iterable[str]) -> None:
    """Call `preflight` of each component's module, if it has one, with the settings; a plan downloads nothing."""
    for group in groups:
        for place, node in every(group, config[group]):
            if told(place, node, "preflight") is None:
                continue
            if config["task"] == "plan" and ask(place, node, "is_here") is False:
                logger.warning("%s.path=%s: not cached yet; a run downloads it first", place, node.get("path"))
            else:
                ask(place, node, "preflight")
