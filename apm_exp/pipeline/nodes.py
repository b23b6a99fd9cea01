"""The settings of a configuration as the steps are given them: what decides their results, and no more."""

import hashlib
from collections.abc import Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.told import told
from apm_exp.data.sources.holdout import with_holdout
from apm_exp.pipeline.resolve import builds_model, pinned_dataset
from apm_exp.selection.alpha_rules.choose import AUTO, rule_name
from apm_exp.selection.metrics.preflight import needs_rewards as metric_needs_rewards

Node = Mapping[str, Any]
HOW = ("runtime", "deepspeed", "tracking", "output_root", "trusted_packages")  # how a run is made, not what of
RECORDED = {"_target_": "apm_exp.data.rewards.recorded.recorded"}
_LOADING = (
    "dtype",
    "attention",
    "trust_remote_code",
    "chat_template",
    "chat_template_kwargs",
    "template_date",
    "revision",
)
is_built = builds_model


def without(node: Node, *names: str) -> dict[str, Any]:
    """Return a node less some of its settings."""
    return {key: value for key, value in node.items() if key not in names}


def built_model(node: Node) -> dict[str, Any]:
    """Return what decides the weights of a model that is built here."""
    return without(node, *_LOADING)


def needs_given_pairs(node: Node) -> str:
    """Return what is wrong with a model that is made from pairs whose responses it is to sample."""
    name = component.name_of(node)
    problem = "is made from the pairs of the data set, whose responses the model is to sample (pipeline=)"
    remedy = "take dataset=jsonl dataset.path=FILE, pipeline=offline, or another model="
    return f"model={name}: {problem}; {remedy}"


def rows_of(node: Node, task: str) -> dict[str, Any]:
    """Return what decides the rows of a data set's node: its own function and that function's settings."""
    own = component.settings_of(component.locate("dataset", node), node)
    return dict(pinned_dataset({"_target_": node["_target_"], **own}, task))


def pairs_of(config: Node, *, sampled: bool) -> dict[str, Any]:
    """Return what decides the pairs of the data set, or of responses to its prompts: then only what is held out.

    Whether bad rows stop a run makes no other pairs.
    """
    node = with_holdout(config["dataset"], config.get("until"))
    if sampled:
        return {"holdout": node["holdout"], "seed": node["seed"], "limit": None} | dict.fromkeys(
            ("chosen_reward", "rejected_reward")
        )
    return without(pinned_dataset(node, config["task"]), "on_bad_row")


def samples(config: Node) -> bool:
    """Return whether the pipeline samples the responses, so that the data set gives the prompts alone."""
    return bool(told("pipeline", config["pipeline"], "SAMPLES"))


def in_stream(node: Node, stream: str) -> dict[str, Any]:
    """Return a sampler's node with the seed of a stream: responses of two streams are independent of each other."""
    if not stream or "seed" not in node:
        return dict(node)
    digest = hashlib.sha256(f"{stream} {node['seed']}".encode()).digest()
    return {**node, "seed": int.from_bytes(digest[:4])}


def needs_rewards(config: Node, metric: Node) -> bool:
    """Return whether the metric, or the loss of a job that trains, asks for rewards: pairs without are left out."""
    if metric_needs_rewards(metric) or config["until"] is not None:
        return metric_needs_rewards(metric)
    from apm_exp.training.objective import fields_read  # imports torch, which a reused run does without

    return "rewards" in fields_read(config["loss"])


def alpha_words(config: Node) -> str:
    """Return the metric's alpha as a part of a folder's name; "" if it has none."""
    alpha = config["metric"].get("alpha", "")
    if alpha == AUTO:
        return f"alpha_{rule_name(config['alpha_rule'])}"
    return f"alpha{config['alpha']:g}" if alpha != "" else ""
