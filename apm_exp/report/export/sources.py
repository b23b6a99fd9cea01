"""The sources of a run's data set, policy and rewards in words, with their revisions or digests."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from apm_exp.core.component import name_of
from apm_exp.core.step_names import kind_of
from apm_exp.core.told import ask, told
from apm_exp.report.describe import settings, source_name
from apm_exp.report.export.finished_run import FinishedRun
from apm_exp.report.export.license import license_of
from apm_exp.report.export.parts import Part, parts_of, step_of
from apm_exp.report.redact import last_parts

_COMMIT = 40  # hexadecimal digits of a commit; a digest has 64


@dataclass(frozen=True)
class Source:
    """A source. text: in words. hub: its name on the Hub, or None. license: fields of a card."""

    text: str
    hub: str | None
    license: Mapping[str, Any]


def dataset_source(run: FinishedRun) -> Source:
    """Return the data set from which the pairs, or the prompts of sampled responses, were read."""
    node = run.config["dataset"]
    read = next(_datasets_read(run))
    on_hub = _hub_name(node)
    revision = read.get("revision")
    if on_hub:
        aside = [f"held out {node['holdout_split']}"] if node.get("holdout_split") else []
        more = [f"split {node['split']}", *aside, f"revision {revision}" if revision else "no revision known"]
    else:
        more = [f"sha256 {digest}" for digest in _digests(read.get("path"))]
    made = f"made by {name_of(node)} ({settings(node)})" if not node.get("path") else _named(node, more)
    license = license_of(node.get("path"), "dataset", revision)
    return Source(made, on_hub, license)


def _hub_name(dataset: Mapping[str, Any]) -> str | None:
    """Return a dataset's name on the Hub, if its component is still here to tell."""
    with suppress(ValueError):
        name: str | None = ask("dataset", dataset, "hub_name")
        return name
    return None


def _datasets_read(run: FinishedRun) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of the data sets that were read, those of the recipe before those of the evaluations."""
    nodes = (step.inputs["dataset"] for name, step in run.steps.items() if kind_of(name) in ("prompts", "pairs"))
    yield from (node for node in nodes if "_target_" in node)  # pairs of sampled responses have none


def base_source(run: FinishedRun) -> Source:
    """Return the starting policy of the first training."""
    node, key = run.config["model"], _starting_key(run, parts_of(run)[0])
    if not node.get("path"):
        return Source(f"made by {name_of(node)} (key {key})", None, license_of(None, "model", None))
    on_hub = len(key) == _COMMIT
    text = _named(node, [f"revision {key}" if on_hub else f"sha256 {key}"])
    return Source(text, node["path"] if on_hub else None, license_of(node["path"], "model", key if on_hub else None))


def policy_source(run: FinishedRun) -> str:
    """Return the policy that scored the pairs: the starting policy, or one that the run has trained."""
    key, base = parts_of(run)[0].logps.inputs["policy"]["policy"], base_source(run).text
    name = next((name for name, step in run.steps.items() if step.key == key and kind_of(name) == "policy"), None)
    return base if name is None else f"{name} of the same run (key {key}); its base: {base}"


def _starting_key(run: FinishedRun, part: Part) -> str:
    """Return the key of the starting policy, from the policy that scored a part back through its trainings."""
    key: str = part.logps.inputs["policy"]["policy"]
    trained = {step.key: step for name, step in run.steps.items() if kind_of(name) == "policy"}
    while key in trained:
        key = trained[key].inputs["policy"]["policy"]
    return key


def reward_source(run: FinishedRun) -> str:
    """Return the source of the rewards in words; the sources of all parts if they differ."""
    return "; ".join(dict.fromkeys(_reward_of(run, part) for part in parts_of(run)))


def _reward_of(run: FinishedRun, part: Part) -> str:
    """Return the source of a part's rewards; sampled responses were rewarded before pairs were made of them."""
    if not part.rewarded:
        return "none: these pairs have no rewards"
    sampled = part.pairs.inputs["sampled"]
    read = (step_of(run, sampled["rewards"]["artifact"]) if sampled else part.rewards).inputs["reward"]
    node = run.config["reward"]
    if name_of(node) != name_of(read):  # a recipe may give another
        node = {name: value for name, value in read.items() if name not in ("_source_", "path")}
    if _is_recorded(node):
        return "recorded in the source"
    if not node.get("path"):
        return described(node)
    revision = [f"revision {read['revision']}"] if read.get("revision") else []
    digests = [f"sha256 {digest}" for digest in _digests(read.get("path"))]
    return f"{name_of(node)} {_named(node, digests or revision)}"


def _is_recorded(reward: Mapping[str, Any]) -> bool:
    with suppress(ValueError):
        return bool(told("reward", reward, "OF_THE_DATA"))
    return False


def described(node: Mapping[str, Any]) -> str:
    """Return a component's name with its settings, without folders of this machine."""
    values = last_parts(settings({k: v for k, v in node.items() if k != "path"}))
    path = f" {source_name(node)}" if node.get("path") else ""
    return f"{name_of(node)}{path}" + (f" ({values})" if values else "")


def _named(node: Mapping[str, Any], more: list[str]) -> str:
    name = last_parts(source_name(node))
    return f"{name} ({', '.join(more)})" if more else name


def _digests(paths: Any) -> list[str]:
    """Return the digests of a setting called path, one per file."""
    return [str(digest) for digest in paths] if isinstance(paths, list) else []
