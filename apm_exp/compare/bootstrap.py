"""The bootstrap over prompts: what the means would be, had other prompts been drawn."""

import numpy as np

RESAMPLES = 10_000
_SEED = 20250301  # of the resampling; the same for all arms, so that their differences are paired
_AT_ONCE = 2**21  # counts


def resampled_means(values_CN: np.ndarray, group_N: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """The mean of each of C rows over groups of items drawn with replacement, shape (resamples, C).

    group_N: the number of each item's group (its prompt), from 0, none left out; a group is drawn with all its items.
    All rows see the same draws. NaN is no value: a row's mean is that of the drawn items that it has, and NaN where
    it has none of them. Memory: some 50 MB, whatever the sizes.
    """
    known_GC = _of_groups(np.isfinite(values_CN).astype(float), group_N)
    total_GC = _of_groups(np.nan_to_num(values_CN), group_N)
    groups = len(known_GC)
    stream = np.random.default_rng(_SEED)
    means = np.empty((resamples, len(values_CN)))
    step = max(1, _AT_ONCE // groups)
    for start in range(0, resamples, step):
        counts = _counts(stream, min(step, resamples - start), groups)
        drawn = float(groups) if (known_GC == 1).all() else counts @ known_GC
        with np.errstate(invalid="ignore"):
            means[start : start + len(counts)] = counts @ total_GC / drawn
    return means


def _of_groups(values_CN: np.ndarray, group_N: np.ndarray) -> np.ndarray:
    """The sum of each group's values, shape (groups, C)."""
    return np.stack([np.bincount(group_N, values_N) for values_N in values_CN], axis=1)


def _counts(stream: np.random.Generator, rows: int, groups: int) -> np.ndarray:
    """How often each group is drawn in each of `rows` resamples."""
    drawn = stream.integers(groups, size=(rows, groups)) + groups * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(float)


def percentile_interval(replicates: np.ndarray, level: float) -> tuple[float, float]:
    """The middle share `level` of the replicates."""
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(replicates: np.ndarray) -> float:
    """Two-sided, against 0: twice the share of replicates on the rarer side of 0, at least 2 / (resamples + 1)."""
    replicates = replicates[np.isfinite(replicates)]
    below, above = int((replicates <= 0).sum()), int((replicates >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(replicates) + 1))
