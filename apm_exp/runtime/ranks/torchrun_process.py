"""One machine's torchrun as a child of this process: started, and ended with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from apm_exp.core.environment import without_launcher
from apm_exp.core.errors import NodeError, Stopped
from apm_exp.runtime.ranks.failures import launcher_log

ALONE = ("--standalone", "--local-addr=127.0.0.1")
_PASSED_ON = {
    KeyboardInterrupt: signal.SIGINT,
    Stopped: signal.SIGTERM,
    NodeError: signal.SIGKILL,  # ranks that were given time would only wait for those of the other machine
}


@contextmanager
def launched(
    task: Path, *, processes: int, threads: int | None, node: int = 0, options: Sequence[str] = ALONE
) -> Iterator[subprocess.Popen[bytes]]:
    """torchrun with so many ranks of the task's file on this machine; gone, with its ranks, when the block is left.

    Where this process is interrupted, so are the ranks. threads: of each rank; None: OMP_NUM_THREADS, else its share
    of the cores. options: torchrun's own, on how machines meet.
    """
    module = [
        sys.executable,
        "-m",
        "apm_exp.runtime.ranks.torchrun_main",
        str(os.getpid()),
        str(task.absolute()),
        str(node),
    ]
    command = [*module, f"--nproc-per-node={processes}", *options]
    with (task.parent.parent / launcher_log(node)).open("w") as log:
        # The screen goes as standard input, which torchrun hands on untouched; its own output is for the log. A
        # session of its own keeps the terminal's Ctrl-C from reaching it twice.
        started = subprocess.Popen(
            command, env=_environment(processes, threads), stdin=2, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield started
        except BaseException as error:
            if isinstance(error, Stopped):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break off their checkpoint
            started.send_signal(_PASSED_ON.get(type(error), signal.SIGHUP))
            started.wait()
            raise
        finally:
            started.kill()  # only after a second Ctrl-C is there anything left to kill


def _environment(processes: int, threads: int | None) -> dict[str, str]:
    """This process's environment, less what another launcher left there; modules are found where they are here."""
    kept = without_launcher(os.environ)
    kept |= {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }
    each = str(threads or max(1, available_cores() // processes))
    return kept | {"OMP_NUM_THREADS": each if threads else kept.get("OMP_NUM_THREADS", each)}


def available_cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
