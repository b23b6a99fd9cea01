"""A log message for a new training if a similar unfinished one exists: which inputs prevent a resume from it."""

import logging
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.credentials import flatten

logger = logging.getLogger(__name__)
_KEY = "-????????"  # suffix of a step's folder name: the first 8 hexadecimal digits of its key
_SHOWN = 4


def say_unfinished(out: Path) -> None:
    """Log which inputs differ if `out` has no checkpoint but an unfinished training of the same slug has.

    If there are several, the most recently used one is compared. Reads files only.
    """
    if (out / "checkpoints").exists():
        return
    siblings = out.parent.glob(out.name[: -len(_KEY)] + _KEY)
    unfinished = [path for path in siblings if (path / "checkpoints").exists() and not (path / "done").exists()]
    if unfinished:
        other = max(unfinished, key=lambda path: (path / "checkpoints").stat().st_mtime)
        logger.info(
            "not resuming %s, which is unfinished, because its inputs differ: %s", other, differences(other, out)
        )


def differences(before: Path, now: Path) -> str:
    """Return the inputs of a step's folder that differ from those of `now`, as text: `loss.beta=0.5 (now 0.1)`."""
    old, new = (dict(flatten(_inputs(folder))) for folder in (before, now))
    names = [name for name in old | new if old.get(name) != new.get(name)]
    more = len(names) - _SHOWN
    shown = ", ".join(_difference(name, old.get(name), new.get(name)) for name in names[:_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")


def _inputs(folder: Path) -> Any:
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(folder / "inputs.yaml"))
        return {"version": content["version"], **content["inputs"]}
    except Exception:  # a damaged file can raise anything; this is only a log message
        return {"inputs.yaml": "damaged"}


def _difference(name: str, before: Any, now: Any) -> str:
    """Return the text for one differing input. A digest is replaced by the name of the input that it is a digest of."""
    digest = re.compile("[0-9a-f]{64}")
    if any(digest.fullmatch(str(value)) for value in (before, now)):
        what = name.removesuffix(".artifact").removesuffix("._source_").replace(".policy", "")
        return f"another {'source of ' if name.endswith('_source_') else ''}{what}"
    return f"{name}={before} (now {now})"
