"""How long steps took on this machine's earlier runs, and so how long others may take."""

import statistics
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from apm_exp.core.artifact import DONE
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.work import Counts


def expected_seconds(step: Step, counts: Counts) -> float | None:
    """The seconds that a step may take, from the median of earlier ones of its kind; None where there are none.

    Those of the same folder name (but for the key) are taken where there are any, else all of the kind. Where the
    step's counts are known, the seconds of an earlier step are scaled to them.
    """
    found = _earlier(step.root / step.kind)
    same = [one for one in found if one.slug == step.slug] or found
    seconds = [_scaled(one, counts, STAGES[step.kind].grows_with) for one in same]
    return statistics.median(seconds) if seconds else None


class _Earlier(NamedTuple):
    slug: str
    seconds: float
    counts: Counts


@lru_cache(maxsize=32)
def _earlier(folder: Path) -> list[_Earlier]:
    """Every finished step below a folder; one of a damaged record is as good as not there, and is built again."""
    found = []
    for path in sorted(folder.glob("*/done")):
        with suppress(Damaged):
            record = read_sealed(path, *DONE)
            found.append(_Earlier(path.parent.name[:-9], record["seconds"], record["counts"]))
    return found


def _scaled(earlier: _Earlier, counts: Counts, grows_with: Sequence[str]) -> float:
    for name in grows_with:
        now, then = counts.get(name), earlier.counts.get(name)
        if now and then:
            return earlier.seconds * now / then
    return earlier.seconds
