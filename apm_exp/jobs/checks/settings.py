"""Check every name, type and range of a job's configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.component import Function
from apm_exp.core.credentials import flatten, refuse_secrets
from apm_exp.core.nested import check_nodes
from apm_exp.jobs.checks.top_level import NODES, OPEN_NODES, check_top_level
from apm_exp.jobs.inverted import inverted_labels
from apm_exp.pipeline.evaluations import STAGED
from apm_exp.pipeline.nodes import OF_PAIRS, of_source


def check_config(config: Mapping[str, Any]) -> None:
    """Check every name, type and range of a job's configuration. Raises a one-line ValueError."""
    refuse_secrets(flatten(config))
    check_top_level(config)
    component.trust(config["trusted_packages"])
    if config["compare"] is None:
        raise ValueError("compare=null: must be metrics by name; use compare={} for none")
    for group in NODES:
        node = config[group]
        if node and not isinstance(node, Mapping):
            raise ValueError(f"{group}={node}: must be settings by name; see the option's file")
        if node and group not in OPEN_NODES:
            _check_group("model.adapter" if group == "adapter" else group, node)


def _check_group(group: str, node: Mapping[str, Any]) -> None:
    for label, inner in _components(group, node):
        if not isinstance(inner, Mapping):
            typed = "null" if inner is None else inner
            raise ValueError(
                f"{label}={typed}: must be settings by name, with a _target_; use ~{label} to leave it out"
            )
        check_nodes(label, inner, _companions(group, inner))


def _components(group: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the nodes of a group that name a function, by their dotted names: the group itself, or its settings."""
    if group == "reward":
        yield group, {**of_source(node), **{name: node[name] for name in OF_PAIRS if name in node}}
        return
    if group not in ("evals", "compare"):
        yield group, node
        return
    for name, inner in node.items():
        if group == "evals" and isinstance(inner, Mapping) and "_target_" not in inner:
            _refuse_other_parts(f"evals.{name}", inner)
            own = {part: inner[part] for part in STAGED if part != "judge" or inner[part] is not None}
            if isinstance(own.get("judge"), Mapping):
                own["judge"] = of_source(own["judge"])  # which an option of the group reward has
            yield from ((f"evals.{name}.{part}", node) for part, node in own.items())
        else:
            yield f"{group}.{name}", inner


def _refuse_other_parts(label: str, node: Mapping[str, Any]) -> None:
    if set(node) != set(STAGED):
        problem = f"has the settings {', '.join(node) or 'none'}"
        raise ValueError(f"{label}: {problem}; an evaluation has a _target_, or the nodes {', '.join(STAGED)}")


def _companions(group: str, node: Mapping[str, Any]) -> list[Function]:
    """Return the functions whose settings are in the same node as those of the component."""
    if group == "dataset":
        from apm_exp.data.sources.reader import companions

        return companions(node)
    if group == "model":
        from apm_exp.models.loading import loading

        return [loading]
    if group == "reward":
        from apm_exp.selection.margins import explicit_margin

        return [explicit_margin, inverted_labels]
    return []
