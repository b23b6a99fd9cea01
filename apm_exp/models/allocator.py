"""Control of glibc's memory allocator for repeated forwards."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # malloc.h
_LARGEST_OF_THE_HEAP = 32 * 2**20  # bytes; glibc's dynamic threshold reaches this value in any process with tensors


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Make glibc keep freed memory for reuse inside the block; does nothing with another C library.

    By default, memory of tensors above 32 MiB is returned to the system and must be cleared when it is allocated again,
    which takes a tenth of the time of a forward on a CPU. After the block, free memory is returned. Not for training:
    it gains nothing there, and gradients would fragment the memory.
    """
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if libc is None or not hasattr(libc, "mallopt"):  # musl has no mallopt
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
