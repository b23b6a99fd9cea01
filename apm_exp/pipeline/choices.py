"""The readable names of folders."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Choices:
    """The names that the user chose, for readable folder names: group -> option."""

    model: str
    dataset: str
    metric: str
    loss: str
    trainer: str


def slug(*parts: object) -> str:
    """Return a readable, safe folder name of at most 60 characters."""
    name = "-".join(str(part) for part in parts if part not in ("", None))
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60].strip("-.")
