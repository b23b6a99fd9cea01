"""The run's cost and its environment, as rows of a table."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.step_names import evaluation_of, kind_of

_SCORING = ("rewards", "logps", "selection")


def cost(steps: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return the seconds of each step, of scoring (rewards, log-probs, selection), of training, and their ratio.

    Rewards from the judge of an evaluation do not count as scoring.
    """
    own = {name: step for name, step in steps.items() if evaluation_of(name, steps) is None}
    scoring = sum(step.seconds for name, step in own.items() if kind_of(name) in _SCORING)
    training = sum(step.seconds for name, step in steps.items() if kind_of(name) == "policy")
    return {
        "rows": [_cost_row(name, step) for name, step in steps.items()],
        "scoring": scoring,
        "training": training,
        "ratio": scoring / training if training else None,
    }


def _cost_row(name: str, artifact: Artifact) -> dict[str, Any]:
    counts = ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in artifact.counts.items())
    folder = f"{artifact.path.parent.name}/{artifact.path.name}"
    return {"name": name, "seconds": artifact.seconds, "counts": counts, "folder": folder}


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, value) pairs: commit, start, hardware, versions, and then all other entries."""
    rows = [("commit", _commit(provenance))]
    for name, value in provenance.items():
        if name not in ("commit", "uncommitted_diff", "argv"):
            rows.append((name.replace("_", " "), _flat(value)))
    return rows


def _commit(provenance: Mapping[str, Any]) -> str:
    commit = provenance.get("commit") or "not a git checkout"
    difference = provenance.get("uncommitted_diff")
    if not difference:
        return commit
    return f"{commit} with uncommitted changes ({len(difference.splitlines()):,} lines of diff)"


def _flat(value: Any) -> str:
    """Return a nested value on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_flat(item) for item in value) or "none"
    return str(value)
