"""The pairs that the explorer ranks: margins as they are embedded, and whether they give the run's own selection."""

from dataclasses import dataclass

import numpy as np

from apm_exp.report.run.explorer.planes import FixedPoint, fixed_point
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.selection.keep.ranking import highest
from apm_exp.selection.metrics.rescale import population_std

MOST_PAIRS = 100_000


@dataclass(frozen=True, eq=False)
class Ranked:
    """The embedded pairs, in the order of pair_id (shape S).

    rows_S: their rows among all pairs. explicit (None without rewards), implicit: signed margins. sigmas: the divisors
    of the two; 0 if a margin does not vary, as its term is then 0. alpha, kept: with which the explorer starts. own:
    whether that is the run's own selection. value_S: the values then, not rounded. exact: (row, explicit, implicit) of
    the pairs for which the rounded margins are too coarse to tell on which side of the run's cut they are. errors: the
    largest rounding error of each margin.
    """

    rows_S: np.ndarray
    explicit: FixedPoint | None
    implicit: FixedPoint
    sigmas: tuple[float, float]
    alpha: float
    kept: int
    own: bool
    value_S: np.ndarray
    exact: list[tuple[int, float, float]]
    errors: tuple[float, float]


def embedded_rows(pairs: int) -> np.ndarray:
    """Return the rows to embed: all, or MOST_PAIRS of them evenly spaced in the order of pair_id."""
    return np.unique(np.linspace(0, pairs - 1, min(pairs, MOST_PAIRS)).round().astype(int))


def ranked(scored: ScoredPairs, alpha: float, *, rescale: bool) -> Ranked:
    """Return the pairs to embed, ranked by the alignment potential; by the implicit margin if there are no rewards."""
    rows_S, rewards = embedded_rows(len(scored.value_P)), scored.explicit_P is not None
    margins = (
        np.zeros(len(rows_S)) if scored.explicit_P is None else scored.explicit_P[rows_S],
        scored.implicit_P[rows_S],
    )
    rounded = (fixed_point(margins[0]), fixed_point(margins[1]))
    sigmas, kept_S, weight = _sigmas(scored, rescale=rescale), scored.kept_P[rows_S], alpha if rewards else 1.0
    value_S, rounded_S = (
        values(explicit_S, implicit_S, sigmas, weight)
        for explicit_S, implicit_S in (margins, (rounded[0].decoded_P, rounded[1].decoded_P))
    )
    kept, ids_S = max(1, int(kept_S.sum())), scored.pair_id_P[rows_S]
    own = np.array_equal(highest(value_S, ids_S, kept), kept_S)
    enough = not own or np.array_equal(highest(rounded_S, ids_S, kept), kept_S)
    near = [] if enough else _near_cut(value_S, rounded_S, value_S[kept_S].min())
    return Ranked(
        rows_S=rows_S,
        explicit=rounded[0] if rewards else None,
        implicit=rounded[1],
        sigmas=sigmas,
        alpha=alpha if rewards else 0.0,
        kept=kept,
        own=own,
        value_S=value_S,
        exact=[(int(row), float(margins[0][row]), float(margins[1][row])) for row in near],
        errors=(_error(rounded[0], margins[0]), _error(rounded[1], margins[1])),
    )


def _error(rounded: FixedPoint, margin_S: np.ndarray) -> float:
    return float(np.max(np.abs(rounded.decoded_P - margin_S)))


def values(explicit_S: np.ndarray, implicit_S: np.ndarray, sigmas: tuple[float, float], alpha: float) -> np.ndarray:
    """Return the alignment potential in the operations, and their order, of metrics/map.py and of the page's script."""
    explicit_term_S, implicit_term_S = (
        np.abs(margin_S / sigma) if sigma else np.zeros_like(margin_S)
        for margin_S, sigma in zip((explicit_S, implicit_S), sigmas, strict=True)
    )
    value_S: np.ndarray = explicit_term_S - alpha * implicit_term_S
    return value_S


def _near_cut(value_S: np.ndarray, rounded_S: np.ndarray, cut: float) -> list[int]:
    """Return the pairs that rounding may have moved across the cut: those within the largest change of a value."""
    near: list[int] = np.flatnonzero(np.abs(rounded_S - cut) <= np.max(np.abs(rounded_S - value_S))).tolist()
    return near


def _sigmas(scored: ScoredPairs, *, rescale: bool) -> tuple[float, float]:
    if not rescale:
        return 1.0, 1.0
    explicit = 0.0 if scored.explicit_P is None else population_std(np.abs(scored.explicit_P))
    return explicit, population_std(np.abs(scored.implicit_P))
