"""The rows of a data set that are used: at most a number of them, after some that are skipped, or a random draw."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.data.sources.rows import SourceRow


def drawn(
    read: Callable[[], Iterator[SourceRow]],
    *,
    limit: Annotated[int, Field(ge=1)] | None,
    skip: Annotated[int, Field(ge=0)] = 0,
    draw_seed: Annotated[int, Field(ge=0)] | None = None,
) -> Iterator[SourceRow]:
    """Yield the rows from number `skip` on, at most `limit`, good or bad, in their order.

    draw_seed: if given, the rows are numbered in a random order, which depends on the seed and the number of rows, and
    the source is read twice: limit=n with skip=0 and with skip=n are two random draws without common rows.
    """
    last = None if limit is None else skip + limit
    if draw_seed is None:
        yield from islice(read(), skip, last)
        return
    number = sum(1 for _ in read())
    wanted = np.zeros(number, bool)
    wanted[np.random.default_rng(draw_seed).permutation(number)[skip:last]] = True
    yield from (row for row, used in zip(read(), wanted, strict=True) if used)
