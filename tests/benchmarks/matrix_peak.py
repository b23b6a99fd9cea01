"""The machine's own matrix-multiply peak: what a share of the peak is a share of."""

import time
from collections.abc import Callable

import torch

SIZES = {"cpu": (2048, 3072), "cuda": (8192, 12288)}
TRIES = {"cpu": 3, "cuda": 10}


def matrix_peak(device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Operations a second of several large square products `torch.mm` in this dtype: of the fastest, and of them all.

    The first is the machine at its best moment, the second what a shared or throttled machine keeps up.
    """
    timed = [(2 * size**3, took) for size in SIZES[device] for took in _products(size, device, dtype)]
    operations, took = map(sum, zip(*timed, strict=True))
    return max(own / seconds for own, seconds in timed), operations / took


def _products(size: int, device: str, dtype: torch.dtype) -> list[float]:
    """Seconds of each try, after one that is not counted."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return [seconds(lambda: torch.mm(left, right, out=out), device) for _ in range(1 + TRIES[device])][1:]


def seconds(work: Callable[[], object], device: str) -> float:
    """Wall seconds of one call, up to the device's last operation."""
    synchronize(device)
    started = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: str) -> None:
    """Wait for what a GPU still has to do; a CPU has nothing left to do."""
    if device == "cuda":
        torch.cuda.synchronize()
