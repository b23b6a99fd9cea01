"""Methods timed in turn: repetition 1 of each, then repetition 2 of each, the matrix peak taken in between."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from tests.benchmarks.matrix_peak import matrix_peak, seconds


@dataclass(frozen=True)
class Timing:
    """One entry a repetition: wall seconds, and of the matrix products right before and after (operations a second)
    the fastest and the mean.
    """

    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    sustained: list[float] = field(default_factory=list)

    def ratios(self, ours: "Timing") -> list[float]:
        """How many times as long as ours, repetition by repetition."""
        return [own / other for own, other in zip(self.seconds, ours.seconds, strict=True)]

    def share_of_peak(self, flops: int) -> float:
        """The median over the repetitions of the work (operations) divided by what the peak would have done."""
        return self._share(flops, self.peaks)

    def share_of_sustained(self, flops: int) -> float:
        """The same against what the products around it did on average, which the machine's noise slows as well."""
        return self._share(flops, self.sustained)

    def _share(self, flops: int, rates: list[float]) -> float:
        return statistics.median(flops / (own * rate) for own, rate in zip(self.seconds, rates, strict=True))


def alternate(
    works: Mapping[str, Callable[[], object]], dtypes: Mapping[str, torch.dtype], repetitions: int, device: str
) -> dict[str, Timing]:
    """The timing of each work. Its peak is the larger of those measured before and after it, in the work's dtype, and
    its sustained rate the mean of those.
    """
    timings = {name: Timing() for name in works}
    last = {dtype: matrix_peak(device, dtype) for dtype in set(dtypes.values())}
    for _ in range(repetitions):
        for name, work in works.items():
            peak_before, sustained_before = last[dtypes[name]]
            timings[name].seconds.append(seconds(work, device))
            last[dtypes[name]] = peak, sustained = matrix_peak(device, dtypes[name])
            timings[name].peaks.append(max(peak_before, peak))
            timings[name].sustained.append((sustained_before + sustained) / 2)
    return timings
