"""The peak memory of one work beyond what was there before it: the weights and the libraries."""

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

Make = Callable[[], Callable[[], object]]  # loads the model, and gives the work to measure


def peak_memory(make: Make, device: str) -> int:
    """Bytes at the peak of a work less those right before it.

    On a CPU: resident memory of a process of its own (Linux). On CUDA: allocated memory of the device.
    `make` and what it gives are called once; it must be picklable.
    """
    if device == "cuda":
        return _device_peak(make())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_resident_peak, make).result()


def _resident_peak(make: Make) -> int:
    """The high-water mark of /proc, set back before the work.

    getrusage's ru_maxrss would be the parent's where that was larger: it outlives the start of a new program.
    """
    work = make()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    work()
    return _status_bytes("VmHWM") - before


def _status_bytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, name
    return int(found[1]) * 1024


def _device_peak(work: Callable[[], object]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before
