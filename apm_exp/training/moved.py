"""How many weights a training has moved, in the precision in which they are saved."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def share_moved(start: Path, final: Path) -> float | None:
    """Return the share of the saved weights that differ from those of the starting policy, rounded to their dtype.

    Only weights that both folders have under the same name in safetensors files are compared; None if there are none.
    """
    files = {name: path for path in start.glob("*.safetensors") for name in _names(path)}
    moved = total = 0
    for path in final.glob("*.safetensors"):
        for name, weights in _weights(path):
            if name in files:
                before = _weight(files[name], name)
                if before.shape == weights.shape:
                    moved += int((before.to(weights.dtype) != weights).sum())
                    total += weights.numel()
    return round(moved / total, 6) if total else None


def _names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return list(file.keys())


def _weight(path: Path, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.get_tensor(name)


def _weights(path: Path) -> Iterator[tuple[str, Any]]:
    for name in _names(path):
        yield name, _weight(path, name)
