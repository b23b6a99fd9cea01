"""Convert a stage's arguments to JSON and back, to pass them to ranks."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy

_CROSSING = {kind.__name__: kind for kind in (Artifact, Policy)}


def packed(value: Any) -> Any:
    """Return a value in a form that JSON can hold; `unpacked` restores it."""
    if isinstance(value, Path):
        return {"_crossing_": "Path", "value": str(value.absolute())}
    if is_dataclass(value) and type(value).__name__ in _CROSSING:
        content = {field.name: packed(getattr(value, field.name)) for field in fields(value)}
        return {"_crossing_": type(value).__name__, "value": content}
    if isinstance(value, Mapping):
        return {key: packed(item) for key, item in value.items()}
    return [packed(item) for item in value] if isinstance(value, list | tuple) else value


def unpacked(value: Any) -> Any:
    """Return the value that `packed` was given; a tuple becomes a list."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "_crossing_" not in value:
        return {key: unpacked(item) for key, item in value.items()}
    kind, content = value["_crossing_"], value["value"]
    return Path(content) if kind == "Path" else _CROSSING[kind](**unpacked(content))
