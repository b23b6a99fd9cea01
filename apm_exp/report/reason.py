"""The reason why a pair was kept or not, in one line."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from apm_exp.core.component import name_of

TERMS = ("explicit_term", "implicit_term")


def reasons(
    rows: pa.Table, metric: Mapping[str, Any], sigmas: tuple[float, float], rank_P: np.ndarray, pairs: int
) -> Iterator[str]:
    """Yield the reason of each row of a selection, such as "kept: reward sees 2.1 sigma, policy 0.2".

    Margins are signed: a negative one prefers the rejected response. sigmas: of the explicit and of the implicit
    margin; margins are in reward units and nats per token if the metric does not rescale them. A metric without such
    terms gets the rank.
    """
    both = set(TERMS) <= set(rows.column_names)
    margins = zip(rows["explicit_margin"].to_pylist(), rows["implicit_margin"].to_pylist(), strict=True)
    rescaled = metric.get("rescale") is not False
    for kept, (reward, policy), rank in zip(rows["kept"].to_pylist(), margins, rank_P.tolist(), strict=True):
        decided = "kept" if kept else "not kept"
        if not both:
            yield f"{decided}: rank {rank:,} of {pairs:,} by {name_of(metric)}"
        elif rescaled:
            first, second = (_in_sigmas(margin, sigma) for margin, sigma in zip((reward, policy), sigmas, strict=True))
            yield f"{decided}: reward sees {first:.1f} sigma, policy {second:.1f}"
        else:
            yield f"{decided}: reward sees {reward:.2g} reward units, policy {policy:.2g} nats per token"


def _in_sigmas(margin: float, sigma: float) -> float:
    """Return a margin in sigmas with one decimal, never -0.0; 0 if the margins do not vary."""
    return round(margin / sigma, 1) + 0.0 if sigma else 0.0
