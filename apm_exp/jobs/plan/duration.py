"""Expected times of steps, from earlier steps of comparable size on this machine."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from apm_exp.core.artifact import DONE
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.work import Counts

_MODEL, _AMOUNT = 4, 30  # how many times larger or smaller a comparable model is, and a comparable amount


class Takes(NamedTuple):
    """The expected computation of a step: operations, parameters of the model, and number of devices."""

    flops: float
    parameters: int
    device: str
    processes: int


def expected_seconds(step: Step, counts: Counts, takes: Takes | None, through_model: bool = False) -> float | None:
    """Return the median seconds of comparable earlier steps of the kind, scaled to this one; None without any.

    Steps that put tokens through a model are scaled by their operations. Of others, those of the same folder name (but
    for the key) are taken if there are any, scaled by their counts. through_model: there is a model, also if `takes`
    is unknown: then no earlier step is known to be comparable.
    """
    found = _earlier(step.root / step.kind)
    if takes is not None:
        seconds = [_by_operations(one, takes) for one in found]
    elif through_model:
        return None
    else:
        same = [one for one in found if one.slug == step.slug] or found
        seconds = [_by_counts(one, counts, STAGES[step.kind].grows_with) for one in same if one.performed is None]
    known = [each for each in seconds if each is not None]
    return statistics.median(known) if known else None


class _Earlier(NamedTuple):
    slug: str
    seconds: float
    counts: Counts
    performed: Mapping[str, Any] | None


@lru_cache(maxsize=32)
def _earlier(folder: Path) -> list[_Earlier]:
    """Return every finished step below a folder; a damaged record is skipped, as its step is built again."""
    found = []
    for path in sorted(folder.glob("*/done")):
        with suppress(Damaged):
            record = read_sealed(path, *DONE)
            found.append(_Earlier(path.parent.name[:-9], record["seconds"], record["counts"], record.get("performed")))
    return found


def _by_operations(earlier: _Earlier, takes: Takes) -> float | None:
    then = earlier.performed
    if not then or then["device"] != takes.device or not takes.flops:
        return None
    share = takes.flops / takes.processes / (then["flops"] / then["processes"])
    comparable = _within(takes.parameters / then["parameters"], _MODEL) and _within(share, _AMOUNT)
    return earlier.seconds * share if comparable else None


def _by_counts(earlier: _Earlier, counts: Counts, grows_with: Sequence[str]) -> float | None:
    for name in grows_with:
        now, then = counts.get(name), earlier.counts.get(name)
        if now and then:
            return earlier.seconds * now / then if _within(now / then, _AMOUNT) else None
    return earlier.seconds


def _within(ratio: float, most: float) -> bool:
    return 1 / most <= ratio <= most
