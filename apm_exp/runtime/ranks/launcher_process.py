"""The launcher of ranks (torchrun, srun, mpirun) as a child of this process: its environment, log and end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from apm_exp.core.environment import without_launcher
from apm_exp.core.errors import Stopped


def launcher_log(task: Path) -> Path:
    """Return the path of the launcher's log: its own lines, and those of ranks that have not opened their logs yet."""
    return task.parent.parent / "launcher.log"


@contextmanager
def ended_with_block(
    started: "subprocess.Popen[bytes]", passed_on: Mapping[type[BaseException], signal.Signals]
) -> Iterator[None]:
    """End the launcher at the end of the block. On an exception, send it the signal of that class in `passed_on`, or
    else the one of BaseException, and wait for it.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Stopped):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt their checkpoint
        started.send_signal(passed_on.get(type(error), passed_on[BaseException]))
        started.wait()
        raise
    finally:
        started.kill()  # it has ended already, except after a second Ctrl-C


def rank_environment(each: int, threads: int | None) -> dict[str, str]:
    """Return the environment of ranks, `each` of them on a machine: this process's without launchers' variables.

    sys.path is passed on. threads: CPU threads of each rank; None: OMP_NUM_THREADS, else its share of the cores.
    """
    kept = without_launcher(os.environ)
    kept |= {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
    share = str(threads or max(1, available_cores() // each))
    return kept | {"OMP_NUM_THREADS": share if threads else kept.get("OMP_NUM_THREADS", share)}


def available_cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
