"""Memory that is used again and again stays with the process while it is."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # malloc.h
_LARGEST_OF_THE_HEAP = 32 * 2**20  # bytes, which is where glibc's own threshold ends up in any process with tensors


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """In the block glibc keeps what is freed, for the next tensor of that size; elsewhere nothing happens.

    By default every tensor above 32 MiB goes back to the system and comes again as pages that must be cleared, which
    is a tenth of the time of a forward on a CPU. After the block all goes back that can. Not for training, which
    gains nothing, and whose gradients would lie among the holes.
    """
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if libc is None or not hasattr(libc, "mallopt"):  # musl has none
        yield
        return
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_MAX, 65536)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_OF_THE_HEAP)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_OF_THE_HEAP)
        libc.malloc_trim(0)
