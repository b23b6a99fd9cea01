"""The subject of an evaluation, in words: which policy against which, on which prompts or pairs, by which judge."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.component import locate, name_of
from apm_exp.core.told import told
from apm_exp.report.describe import source_name

Node = Mapping[str, Any]


def evaluated(config: Node, evaluation: str) -> str:
    """Return what an evaluation of a run scores. config: the run's, resolved."""
    node = (config.get("evals") or {}).get(evaluation)
    if node is None:
        return evaluation
    policies = f"policy against the starting policy ({source_name(config['model'])})"
    if "_target_" in node:
        return f"{policies}, {told('evals', node, 'ON') or f'by {name_of(node)}'}"
    return f"{policies}, on {_prompts(node['prompts'])}, judged by {_judge(node['judge'] or config['reward'])}"


def _prompts(node: Node) -> str:
    if said := told("evals", node, "ON"):
        return str(said)
    world = told("evals", node, "WORLD")
    return f"tasks of {world}" if world else f"prompts of {source_name(node)}"


def _judge(node: Node) -> str:
    """Return the name of the judge's function, and of its model if it has one."""
    function = locate("evals", node).__name__
    return f"{function} ({source_name(node)})" if node.get("path") else function
