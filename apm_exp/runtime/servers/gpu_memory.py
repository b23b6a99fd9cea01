"""The memory of GPUs that another process has used: wait until it is back."""

import gc
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from apm_exp.runtime.device import may_have_gpus

logger = logging.getLogger(__name__)
_PAUSE = 0.5  # seconds between two looks
_MARGIN = 1024  # MiB


@contextmanager
def memory_given_back(seconds: float = 60.0) -> Iterator[None]:
    """Free what this process keeps unused on GPUs, and after the block wait until what was used there is free again.

    Warns if it is not after so many seconds. Does nothing without nvidia-smi.
    """
    _free_own()
    before = _used()
    try:
        yield
    finally:
        deadline = time.monotonic() + seconds
        while (more := _more_than(before)) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        if more:
            logger.warning("%s: %d MiB more are used than before the server was started", *more)


def _more_than(before: dict[str, int]) -> tuple[str, int] | None:
    """Return the first GPU that has more memory in use than before, and how much; None if there is none."""
    now = _used() if before else {}
    return next(((name, now[name] - used) for name, used in before.items() if now.get(name, 0) > used + _MARGIN), None)


def _used() -> dict[str, int]:
    """Return the MiB in use on each visible GPU."""
    program = shutil.which("nvidia-smi") if may_have_gpus() else None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if program is None or visible == "":
        return {}
    query = [program, "--query-gpu=uuid,memory.used", "--format=csv,noheader,nounits"]
    chosen = ["-i", visible] if visible is not None else []
    listed = subprocess.run([*query, *chosen], capture_output=True, text=True, timeout=60, check=False).stdout
    rows = (line.split(",") for line in listed.splitlines() if line.startswith("GPU-"))
    return {name: int(used) for name, used in rows if used.strip().isdecimal()}


def _free_own() -> None:
    """Give the memory that torch keeps for later tensors back to the GPUs."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
