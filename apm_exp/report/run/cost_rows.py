"""The run's cost and its environment, as rows of a table."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.artifact import Artifact

_SCORING = ("rewards", "logps", "selection")


def cost(artifacts: Mapping[str, Artifact], evaluations: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return the seconds of each artifact, of scoring (rewards, log-probs, selection), of training, and their ratio."""
    everything = dict(artifacts) | {f"evaluation {name}": artifact for name, artifact in evaluations.items()}
    scoring = sum(artifacts[name].seconds for name in _SCORING if name in artifacts)
    training = artifacts["policy"].seconds if "policy" in artifacts else 0
    return {
        "rows": [_cost_row(name, artifact) for name, artifact in everything.items()],
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
