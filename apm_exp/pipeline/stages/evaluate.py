"""Stage: one evaluation of a policy against the starting policy."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.told import told
from apm_exp.pipeline.flops import Load, forward_flops
from apm_exp.pipeline.step import Step, read_done
from apm_exp.pipeline.work import Counts, Work

VERSION = 4


def evaluate(
    out: Path, *, evaluation: dict[str, Any], given: Mapping[str, Any], runtime: dict[str, Any]
) -> dict[str, int]:
    """Run an evaluation, which writes scores.json and evaluation.parquet to `out`, and return the number of scores.

    given: the arguments for its positional parameters (see `inputs_of`).
    """
    wanted = component.positional_names(component.locate("evals", evaluation))
    arguments = {"out": out, "runtime": runtime, **given}
    component.bind("evals", evaluation)(**{name: arguments[name] for name in wanted})
    return {"scores": len(json.loads((out / "scores.json").read_text()))}


def inputs_of(node: Mapping[str, Any], available: Mapping[str, Any], group: str = "evals") -> dict[str, Any]:
    """Return the arguments that a component, such as an evaluation, requests by the names of its positional parameters.

    available: for an evaluation, policy, starting_policy; pairs, logps, rewards (of the pairs that the starting policy
    scored); holdout, the share of the prompts whose pairs are held out; responses and judgements, each a mapping with
    "policy" and "starting_policy", if its node has the settings for them. Raises ValueError for a parameter that is not
    available.
    """
    names = component.positional_names(component.locate(group, node))
    requested = [name for name in names if name not in ("out", "runtime")]
    if absent := [name for name in requested if name not in available]:
        known = ", ".join(["out", "runtime", *available])
        problem = f"takes {absent[0]}, which this run does not have; it may take {known}"
        raise ValueError(f"{group}._target_={node['_target_']}: {problem}; use another {group}=")
    return {name: available[name] for name in requested}


def work(inputs: Mapping[str, Any], _counts: Counts) -> Work | None:
    """Return the work that `work` in the evaluation's module computes; None if it has none or its inputs are missing.

    It is given those of the evaluation's inputs that it names.
    """
    own = told("evals", inputs["evaluation"], "work")
    if own is None:
        return None
    given = {name: inputs["given"].get(name) for name in component.positional_names(own)}
    built = {name: read_done(value) if isinstance(value, Step) else value for name, value in given.items()}
    if None in built.values():
        return None
    forwards, tokens = own(**built)
    return Work(forwards, tokens, exact=True)


def flops(inputs: Mapping[str, Any], counts: Counts, load: Load) -> float | None:
    """Return the operations of one forward per held-out pair; None if the evaluation's module has no `work`."""

    if told("evals", inputs["evaluation"], "work") is None:
        return None
    known = work(inputs, counts)
    pairs = known.forwards if known else load.held_out
    return None if pairs is None else pairs * forward_flops(load.shape, *load.pair)
