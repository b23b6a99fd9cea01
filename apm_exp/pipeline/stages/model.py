"""Stage: build a starting policy (the micro world's, or a tiny one from the text of the pairs)."""

from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.artifact import Artifact

VERSION = 1


def model(out: Path, *, model: dict[str, Any], pairs: Artifact | None, holdout: float = 0.0) -> dict[str, int]:
    """Build the node's model in `out/final`, a Hugging Face model folder, and return its number of parameters.

    pairs, holdout: a model that is made from pairs receives those to train on, so that nothing comes from the others.
    """
    import pyarrow.parquet as pq

    from apm_exp.core.split import train_split
    from apm_exp.models.quiet import quiet

    tables = [] if pairs is None else [train_split(pairs, holdout).of(pq.read_table(pairs.path / "pairs.parquet"))]
    folder = out / "final"
    folder.mkdir(exist_ok=True)
    with quiet():
        component.bind("model", model)(folder, *tables)
    return {"parameters": _parameters(folder)}


def _parameters(folder: Path) -> int:
    """Return the number of parameters in a folder's safetensors files; tied weights are stored and counted once."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as weights:
            total += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total
