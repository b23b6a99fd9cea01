"""The settings that each step is given: those that change its result, and no others."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.nested import changed, every
from apm_exp.core.told import told
from apm_exp.pipeline.resolve import pinned_dataset
from apm_exp.selection.alpha_rules.choose import AUTO, rule_name
from apm_exp.selection.metrics.preflight import needs_rewards as metric_needs_rewards
from apm_exp.training.loss_reads import reads_rewards

Node = Mapping[str, Any]
HOW = ("runtime", "deepspeed", "tracking", "output_root", "trusted_packages")  # do not change a run's results
OF_PAIRS = ("margin", "allow_inverted")  # settings of a reward node that are of pairs, not of its source
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


def without(node: Node, *names: str) -> dict[str, Any]:
    """Return a node without some of its settings."""
    return {key: value for key, value in node.items() if key not in names}


def of_source(node: Node) -> dict[str, Any]:
    """Return the settings of a reward node that are of its source, or of the sources in it, and not of pairs."""
    return dict(changed("reward", node, lambda _, each: without(each, *OF_PAIRS)))


def own_nodes(inputs: Node) -> Iterator[tuple[str, Node]]:
    """Yield each node in the inputs of a step with its dotted name, outer ones first.

    The sources that a reward source is made of are left out, as each is a step of its own.
    """
    for name, value in inputs.items():
        is_node = isinstance(value, Mapping) and "_target_" in value
        apart = is_node and told(name, value, "sources_of") is not None
        yield from [(name, value)] if apart else every(name, value)


def built_model(node: Node) -> dict[str, Any]:
    """Return the settings that determine the weights of a model that is built here."""
    return without(node, *_LOADING)


def needs_given_pairs(node: Node) -> str:
    """Return the error message for a model that is built from pairs of its own responses."""
    name = component.name_of(node)
    problem = "is built from the pairs of the data set, but this pipeline= samples the responses of these pairs"
    remedy = "use dataset=jsonl dataset.path=FILE, pipeline=offline, or another model="
    return f"model={name}: {problem}; {remedy}"


def rows_of(node: Node, task: str) -> dict[str, Any]:
    """Return the settings that determine the rows of a dataset node: its function and the settings of that function."""
    own = component.settings_of(component.locate("dataset", node), node)
    return dict(pinned_dataset({"_target_": node["_target_"], **own}, task))


def drawn_from(node: Node) -> dict[str, Any]:
    """Return the settings that determine which rows of a dataset node are used."""
    return {"limit": node.get("limit"), "skip": node.get("skip", 0), "draw_seed": node.get("draw_seed")}


def pairs_of(config: Node, *, sampled: bool) -> dict[str, Any]:
    """Return the settings that determine the pairs of the data set; if `sampled`, only those of sampled pairs.

    on_bad_row and holdout are not among them: they change neither the pairs nor their log-probs and rewards.
    """
    node = config["dataset"]
    if sampled:
        unused = dict.fromkeys(("limit", "chosen_reward", "rejected_reward"))
        return {"seed": node["seed"], **unused}
    return without(pinned_dataset(node, config["task"]), "on_bad_row", "holdout")


def samples(config: Node) -> bool:
    """Return whether the pipeline samples the responses, so that only prompts are read from the data set."""
    return bool(told("pipeline", config["pipeline"], "SAMPLES"))


def has_policy(config: Node) -> bool:
    """Return whether the pipeline has a policy and a selection; one without them says TRAINS = False in its module."""
    return told("pipeline", config["pipeline"], "TRAINS") is not False


def in_stream(node: Node, stream: str) -> dict[str, Any]:
    """Return a sampler's node with a seed derived from its own and the stream's name; unchanged if there is none.

    Responses of different streams are independent of each other.
    """
    if not stream or "seed" not in node:
        return dict(node)
    digest = hashlib.sha256(f"{stream} {node['seed']}".encode()).digest()
    return {**node, "seed": int.from_bytes(digest[:4])}


def needs_rewards(config: Node, metric: Node) -> bool:
    """Return whether the metric, or the loss if the job trains, needs rewards; pairs without them are then left out."""
    if metric_needs_rewards(metric) or config["until"] is not None:
        return metric_needs_rewards(metric)
    return reads_rewards(config["loss"])


def alpha_words(config: Node) -> str:
    """Return the metric's alpha for a folder's name; "" if it has none."""
    alpha = config["metric"].get("alpha", "")
    if alpha == AUTO:
        return f"alpha_{rule_name(config['alpha_rule'])}"
    return f"alpha{config['alpha']:g}" if alpha != "" else ""
