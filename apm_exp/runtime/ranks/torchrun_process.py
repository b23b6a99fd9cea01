"""torchrun, which starts the ranks of one machine, as a child of this process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apm_exp.core.errors import Stopped
from apm_exp.runtime.ranks.launcher_process import ended_with_block, launcher_log, rank_environment

_PASSED_ON = {KeyboardInterrupt: signal.SIGINT, Stopped: signal.SIGTERM, BaseException: signal.SIGHUP}


@contextmanager
def torchrun(task: Path, processes: int, threads: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    """Run torchrun with `processes` ranks of the task's file; at the end of the block it and its ranks are gone.

    If this process is interrupted, the ranks are too. threads: see rank_environment.
    """
    module = [sys.executable, "-m", "apm_exp.runtime.ranks.torchrun_main", str(os.getpid()), str(task.absolute())]
    command = [*module, f"--nproc-per-node={processes}", "--standalone", "--local-addr=127.0.0.1"]
    with launcher_log(task).open("w") as log:
        # The screen is passed as standard input, which torchrun does not change for the ranks; its own output goes to
        # the log. In a session of its own, it does not receive the terminal's Ctrl-C in addition to ours.
        environment = rank_environment(processes, threads)
        started = subprocess.Popen(command, env=environment, stdin=2, stdout=log, stderr=log, start_new_session=True)
        with ended_with_block(started, _PASSED_ON):
            yield started
