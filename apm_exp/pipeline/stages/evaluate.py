"""Stage: one evaluation of the trained policy against the starting policy."""

import json
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy

VERSION = 3


def evaluate(
    out: Path,
    *,
    evaluation: dict[str, Any],
    policy: Policy,
    starting_policy: Policy,
    pairs: Artifact,
    logps: Artifact,
    rewards: Artifact | None,
    runtime: dict[str, Any],
) -> dict[str, int]:
    """Run an evaluation, which writes scores.json and evaluation.parquet into `out`; returns the number of scores.

    The evaluation's positional parameters say which of these inputs it wants.
    """
    given = {
        "out": out,
        "policy": policy,
        "starting_policy": starting_policy,
        "pairs": pairs,
        "logps": logps,
        "rewards": rewards,
        "runtime": runtime,
    }
    wanted = component.positional_names(component.locate("evals", evaluation))
    component.bind("evals", evaluation)(**{name: given[name] for name in wanted})
    return {"scores": len(json.loads((out / "scores.json").read_text()))}
