"""The command line that selects what the explorer shows."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from apm_exp.selection.keep.top_fraction import kept_count

_REPLACED = re.compile(r"[+~]*(metric(\.\w+)?|alpha|keep(\.\w+)?|rebuild)(=|$)")


def command_base(command: str) -> str:
    """Return a run's command line without what the explorer sets: the metric, alpha and the keep rule."""
    return shlex.join(word for word in shlex.split(command) if not _REPLACED.match(word))


def own_keep(keep: Mapping[str, Any], kept: int, pairs: int) -> str:
    """Return the settings that keep as many pairs as the run: its fraction if it has one, else their number."""
    fraction = keep.get("fraction")
    if isinstance(fraction, int | float) and kept_count(fraction, pairs) == kept:
        return f"keep=top_fraction keep.fraction={fraction}"
    return f"keep=top_k keep.k={kept}"
