"""Small JSON records that hold the sha256 of their own content, so that damage is detected."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.files import write_json

_SEAL = "sha256"


class Damaged(ValueError):
    """An error for a record whose content differs from what was written."""


def write_sealed(content: Mapping[str, Any], path: Path) -> None:
    """Write a record with its digest, atomically."""
    write_json({**content, _SEAL: text_digest(canonical(content))}, path)


def read_sealed(path: Path, *needed: str) -> dict[str, Any]:
    """Return the content of a record.

    Raises FileNotFoundError if there is none, and Damaged if it cannot be read, has changed or lacks a needed field. A
    record of an earlier version without a digest is accepted.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} is damaged") from error
    if not isinstance(content, dict) or not set(needed) <= content.keys():
        raise Damaged(f"{path} is damaged")
    seal = content.pop(_SEAL, None)
    if seal is not None and seal != text_digest(canonical(content)):
        raise Damaged(f"{path} has changed since it was written")
    return content


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, in the same parent folder, and return its new path."""
    return path.rename(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
