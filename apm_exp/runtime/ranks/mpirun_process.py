"""Open MPI's mpirun, which starts the ranks of a step on the nodes that its scheduler gave it (PBS, Kubernetes' MPIJob,
a hostfile), as a child of this process.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path

from apm_exp.runtime.ranks.cluster_process import End, cluster_environment, cluster_launcher

# Variables of this machine or of mpirun, which must not be sent to the other machines.
_NOT_SENT = (
    *("OMPI_*", "PMIX_*", "PRTE_*", "PBS_*", "SLURM_*", "SSH_*", "KUBERNETES_*", "CUDA_VISIBLE_DEVICES"),
    *("HOSTNAME", "PWD", "OLDPWD", "SHLVL", "TMPDIR", "_", "DISPLAY", "TERM"),
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_KILLED = re.compile(r"process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+)")


def mpirun(
    task: Path, processes: int, nodes: int, threads: int | None
) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    """Return a context manager that runs `processes` ranks of the task with mpirun, the same number on each node."""
    each = processes // nodes
    environment = cluster_environment("mpirun", each, threads, socket.gethostname())
    sent = [flag for name in sorted(environment) if _is_sent(name) for flag in ("-x", name)]
    sizes = ["-np", str(processes), "--map-by", f"ppr:{each}:node", "--bind-to", "none"]
    rank = [sys.executable, "-m", "apm_exp.runtime.ranks.rank_main", str(task.absolute())]
    return cluster_launcher(["mpirun", *sizes, *sent, *rank], environment, task, ends)


def _is_sent(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not any(fnmatchcase(name, pattern) for pattern in _NOT_SENT)


def ends(line: str) -> Iterator[End]:
    """Yield the end of a rank that a line of mpirun's output reports: the first that a signal killed."""
    if match := _KILLED.search(line):
        yield End(match[1], -int(match[3]), match[2])
