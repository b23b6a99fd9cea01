"""A cluster's own launcher of ranks (srun, mpirun) as a child of this process, and how it reports their ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from apm_exp.core.console import LINES
from apm_exp.core.errors import Stopped
from apm_exp.core.files import write_json
from apm_exp.runtime.ranks.launcher_process import ended_with_block, launcher_log, rank_environment
from apm_exp.runtime.ranks.rendezvous import LAUNCHER, free_port

_PASSED_ON = {Stopped: signal.SIGUSR1, BaseException: signal.SIGTERM}
_SECONDS_OF_ITS_OWN = 3.0  # after the first end; later signals are the launcher's, which ends the other ranks
_SECONDS_TO_READ = 10.0  # the launcher's last lines
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


class End(NamedTuple):
    """The end of a rank as the launcher reports it. who: the rank's number, or another name. code: the exit code, or
    minus the number of the signal.
    """

    who: str
    code: int
    node: str


@contextmanager
def cluster_launcher(
    command: Sequence[str], environment: Mapping[str, str], task: Path, ends: Callable[[str], Iterable[End]]
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the command, which starts the ranks of the task's file; at the end of the block it and its ranks are gone.

    srun and mpirun pass SIGUSR1 on to the ranks, which then save a checkpoint; on SIGTERM they would kill them at once.
    ends: returns the ends of ranks that a line of the launcher's reports, which are written to ended.json.
    """
    dying = [sys.executable, "-m", "apm_exp.runtime.ranks.with_parent_main", str(os.getpid())]
    # The ranks' standard output is the screen. In its own session, the launcher gets no Ctrl-C from the terminal.
    started = subprocess.Popen(
        [*dying, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=2,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    ended: dict[str, dict[str, Any]] = {}
    listener = threading.Thread(target=_listen, args=(started, launcher_log(task), ends, ended), daemon=True)
    listener.start()
    try:
        with ended_with_block(started, _PASSED_ON):
            yield started
    finally:
        listener.join(_SECONDS_TO_READ)
        write_json(dict(ended), task.with_name("ended.json"))


def _listen(
    started: "subprocess.Popen[bytes]",
    log: Path,
    ends: Callable[[str], Iterable[End]],
    ended: dict[str, dict[str, Any]],
) -> None:
    """Write the launcher's lines to its log, and the ends that they report to `ended`."""
    assert started.stderr is not None
    first = float("inf")
    with log.open("w", buffering=1) as lines, started.stderr:
        for line in started.stderr:
            text, now = line.decode(errors="replace"), time.time()
            lines.write(text)
            for end in ends(text):
                first = min(first, now)
                its_own = end.code in (-signal.SIGTERM, -signal.SIGKILL) and now - first > _SECONDS_OF_ITS_OWN
                if not its_own:
                    ended.setdefault(end.who, {"code": end.code, "time": now, "node": end.node})


def cluster_environment(launcher: str, each: int, threads: int | None, master: str) -> dict[str, str]:
    """Return the environment of ranks, `each` of them on a node. master: the node of rank 0."""
    environment = rank_environment(each, threads) | {LAUNCHER: launcher, "LOCAL_WORLD_SIZE": str(each)}
    if not os.isatty(2):
        environment.setdefault(LINES, "")  # launchers give ranks a terminal whatever the screen is: no progress bar
    return environment | {"MASTER_ADDR": master, "MASTER_PORT": str(free_port())}


def expanded(numbers: str) -> list[str]:
    """Return the numbers of a list with ranges: 0, 1, 2, 5 for 0-2,5."""
    ranges = ((int(low), int(high or low)) for low, high in _RANGE.findall(numbers))
    return [str(number) for low, high in ranges for number in range(low, high + 1)]
