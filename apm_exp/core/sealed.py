"""Small records that say themselves whether they are whole: JSON objects with the sha256 of their own content."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.files import write_json

_SEAL = "sha256"


class Damaged(ValueError):
    """A record that is not as it was written."""


def write_sealed(content: Mapping[str, Any], path: Path) -> None:
    """Write a record atomically, with its seal."""
    write_json({**content, _SEAL: text_digest(canonical(content))}, path)


def read_sealed(path: Path, *needed: str) -> dict[str, Any]:
    """The content of a record. Raises Damaged if it cannot be read, is not as it was written or lacks what is needed;
    FileNotFoundError if there is none. A record of an earlier version, which has no seal, is taken as it is.
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
    """Move a damaged file or folder out of the way, beside where it was; returns where it is now."""
    return path.rename(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
