"""A training that begins while a similar one lies unfinished: which inputs keep it from going on from there."""

import logging
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.credentials import flatten

logger = logging.getLogger(__name__)
_KEY = "-????????"  # what follows the slug in the name of a step's folder: 8 hexadecimal digits
_SHOWN = 4


def say_unfinished(out: Path) -> None:
    """Where `out` has no checkpoint but an unfinished training of the same slug has, log what differs, in one line.

    Of several, the one that was worked on last. Only reads.
    """
    if (out / "checkpoints").exists():
        return
    siblings = out.parent.glob(out.name[: -len(_KEY)] + _KEY)
    unfinished = [one for one in siblings if (one / "checkpoints").exists() and not (one / "done").exists()]
    if unfinished:
        other = max(unfinished, key=lambda one: (one / "checkpoints").stat().st_mtime)
        logger.info("unfinished %s has %s; this is another training", other, differences(other, out))


def differences(before: Path, now: Path) -> str:
    """The inputs in which a step's folder differs from that of `now`, as text: `loss.beta=0.5 (now 0.1)`."""
    old, new = (dict(flatten(_inputs(folder))) for folder in (before, now))
    names = [name for name in old | new if old.get(name) != new.get(name)]
    more = len(names) - _SHOWN
    shown = ", ".join(_difference(name, old.get(name), new.get(name)) for name in names[:_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")


def _inputs(folder: Path) -> Any:
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(folder / "inputs.yaml"))
        return {"version": content["version"], **content["inputs"]}
    except Exception:  # whatever YAML makes of a damaged file: it is only to be told of
        return {"inputs.yaml": "damaged"}


def _difference(name: str, before: Any, now: Any) -> str:
    """Digests say nothing to a reader; what they are digests of does."""
    digest = re.compile("[0-9a-f]{64}")
    if any(digest.fullmatch(str(value)) for value in (before, now)):
        what = name.removesuffix(".artifact").removesuffix("._source_").replace(".policy", "")
        return f"another {'source of ' if name.endswith('_source_') else ''}{what}"
    return f"{name}={before} (now {now})"
