"""The bootstrap over items: what the means would be, had other items been drawn."""

import numpy as np

RESAMPLES = 10_000
_SEED = 20250301  # of the resampling; the same for all arms, so that their differences are paired
_AT_ONCE = 2**21  # counts


def resampled_means(values_CN: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """The mean of each of C rows over items drawn with replacement, shape (resamples, C).

    All rows see the same draws. NaN is no value: a row's mean is that of the drawn items that it has, and NaN where
    it has none of them. Memory: some 50 MB, whatever the sizes.
    """
    known_NC = np.isfinite(values_CN).T
    filled_NC = np.where(known_NC, values_CN.T, 0.0)
    items = len(known_NC)
    stream = np.random.default_rng(_SEED)
    means = np.empty((resamples, len(values_CN)))
    step = max(1, _AT_ONCE // items)
    for start in range(0, resamples, step):
        counts = _counts(stream, min(step, resamples - start), items)
        drawn = float(items) if known_NC.all() else counts @ known_NC
        with np.errstate(invalid="ignore"):
            means[start : start + len(counts)] = counts @ filled_NC / drawn
    return means


def _counts(stream: np.random.Generator, rows: int, items: int) -> np.ndarray:
    """How often each item is drawn in each of `rows` resamples."""
    drawn = stream.integers(items, size=(rows, items)) + items * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items).astype(float)


def percentile_interval(replicates: np.ndarray, level: float) -> tuple[float, float]:
    """The middle share `level` of the replicates."""
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(replicates: np.ndarray) -> float:
    """Two-sided, against 0: twice the share of replicates on the rarer side of 0, at least 2 / (resamples + 1)."""
    replicates = replicates[np.isfinite(replicates)]
    below, above = int((replicates <= 0).sum()), int((replicates >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(replicates) + 1))
