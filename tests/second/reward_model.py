"""A reward model."""

from typing import Any

import pyarrow as pa

from apm_exp.models.pretrained import commit_of, folder_of
from apm_exp.models.pretrained import is_here as model_is_here


def reward_model(
    responses: pa.Table, *, path: str, revision: str | None, low: float, high: float
) -> list[list[float] | None]:
    """Give each response a reward between two numbers."""
    return [[min(high, max(low, float(len(text)))) for text in row] for row in responses["responses"].to_pylist()]


def check(*, low: float, high: float) -> None:
    """Refuse a range that is empty."""
    if low >= high:
        raise ValueError(f"reward.low={low}: must be below reward.high={high}")


def pin(*, path: str, revision: str | None) -> dict[str, Any]:
    """Return the commit of the model."""
    return {"revision": commit_of(folder_of("reward", path, revision, False))}


def is_here(*, path: str, revision: str | None) -> bool:
    """Return whether the model is here."""
    return model_is_here(path=path, revision=revision)


def preflight(*, path: str, revision: str | None) -> None:
    """Refuse a folder without weights."""
    folder = folder_of("reward", path, revision, False)
    if not (folder / "model.safetensors").is_file():
        raise ValueError(f"reward.path={path}: no weights; give a folder that has some")
