"""Share the GPUs of one machine among jobs that run at the same time: each job waits until enough are free."""

import contextlib
import logging
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from apm_exp.runtime.device import may_have_gpus

logger = logging.getLogger(__name__)


def gpus_needed(runtime: Mapping[str, Any]) -> int:
    """Return how many GPUs of the pool a job needs: one per process; 0 if it names a device or has several machines."""
    shared = runtime["device"] in ("auto", "cuda") and runtime.get("nodes", 1) == 1
    return int(runtime["processes"]) if shared else 0


def visible_gpus(given: str | None) -> list[str]:
    """Return the names of the GPUs that may be used, in the form of CUDA_VISIBLE_DEVICES.

    given: that variable; if it is None (not set), all GPUs that nvidia-smi lists are used, by number.
    """
    if given is None:
        return [str(index) for index in range(_count())]
    names = [name.strip() for name in given.split(",")]
    end = next((index for index, name in enumerate(names) if name in ("", "-1")), len(names))  # as CUDA reads it
    return names[:end]


def _count() -> int:
    program = shutil.which("nvidia-smi") if may_have_gpus() else None
    if program is None:
        return 0
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=60, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def places(gpus: int, needed: int, jobs_per_gpu: int) -> int:
    """Return how many jobs that need `needed` GPUs each can run at the same time; 0 if they need none."""
    return gpus // needed * jobs_per_gpu if needed else 0


@contextmanager
def taken(
    gpus: Sequence[str], needed: int, jobs_per_gpu: int, locks: Path, pause: Callable[[], None]
) -> Iterator[list[str]]:
    """Hold `needed` different GPUs inside the block, and yield their names; each may be held `jobs_per_gpu` times.

    Unused GPUs are preferred. Waits until enough are free, and calls `pause`, which may raise, between attempts. GPUs
    are held by file locks in `locks`, which other commands respect too, and which are released when the process ends,
    however it ends. Raises ValueError if there are fewer GPUs than needed.
    """
    if needed > len(gpus):
        raise ValueError(f"runtime.processes={needed}: {len(gpus)} GPUs are visible; use runtime.processes={len(gpus)}")
    locks.mkdir(parents=True, exist_ok=True)
    said = False
    while True:
        with ExitStack() as stack:
            # One process at a time: two that each hold half of the GPUs that they need would wait for each other.
            with FileLock(locks / f"gpus-{platform.node()}.lock"):
                held = _free(stack, gpus, needed, jobs_per_gpu, locks)
            if len(held) == needed:
                yield held
                return
        if not said:
            logger.info("waiting for %d of the GPUs %s", needed, ", ".join(gpus))
        said = True
        pause()


def _free(stack: ExitStack, gpus: Sequence[str], needed: int, jobs_per_gpu: int, locks: Path) -> list[str]:
    """Lock free GPUs, unused ones first, until there are enough; the stack releases the locks."""
    held: list[str] = []
    for place in range(jobs_per_gpu):
        for gpu in gpus:
            if gpu in held or len(held) == needed:
                continue
            lock = FileLock(locks / f"gpu-{platform.node()}-{gpu.replace('/', '_')}-{place}.lock")
            with contextlib.suppress(Timeout):
                stack.enter_context(lock.acquire(timeout=0))
                held.append(gpu)
    return held
