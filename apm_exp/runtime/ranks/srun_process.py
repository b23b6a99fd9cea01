"""srun, which starts the ranks of a step on the nodes of a Slurm job, as a child of this process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path

from apm_exp.runtime.ranks.cluster_process import End, cluster_environment, cluster_launcher, expanded

# Variables of the job or step that this command runs in, which srun would read as options of the ranks' step: a
# binding to CPUs, one GPU per task, or another number of tasks.
_NOT_FOR_RANKS = (
    *("SLURM_CPU_BIND*", "SLURM_MEM_BIND*", "SLURM_GPU_BIND", "SLURM_CPUS_PER_*", "SRUN_CPUS_PER_TASK"),
    *("SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK", "SLURM_NTASKS*", "SLURM_NPROCS", "SLURM_TASKS_PER_NODE"),
    *("SLURM_DISTRIBUTION", "SLURM_EXACT", "SLURM_HINT", "SLURM_LABELIO", "SLURM_STD*MODE", "SLURM_WAIT"),
)
_OPTIONS = (
    *("--kill-on-bad-exit=1", "--overlap", "--mpi=none", "--export=ALL", "--input=none"),
    *("--distribution=block", "--relative=0"),  # rank r is on node r // each, and rank 0 on the command's node
)
_ENDED = re.compile(r"srun: error: (\S+): tasks? ([\d,-]+): (?:Exited with exit code (\d+)|(\w[\w ]*\w))")
_NODE_FAILED = re.compile(r"srun: error: Node failure on (\S+)")
_SIGNALS = {signal.strsignal(number): int(number) for number in signal.valid_signals()} | {"Out Of Memory": 9}


def srun(
    task: Path, processes: int, nodes: int, threads: int | None
) -> "AbstractContextManager[subprocess.Popen[bytes]]":
    """Return a context manager that runs `processes` ranks of the task with srun, the same number on each node."""
    each = processes // nodes
    environment = _environment(each, threads, os.environ)
    sizes = [f"--nodes={nodes}", f"--ntasks={processes}", f"--ntasks-per-node={each}", "--job-name=apm_exp"]
    if os.isatty(2):
        sizes.append("--unbuffered")  # which gives the ranks a terminal too, for their progress bar
    rank = [sys.executable, "-m", "apm_exp.runtime.ranks.rank_main", str(task.absolute())]
    return cluster_launcher(["srun", *sizes, *_OPTIONS, *rank], environment, task, ends)


def _environment(each: int, threads: int | None, job: Mapping[str, str]) -> dict[str, str]:
    ranks = cluster_environment("srun", each, threads, first_host(job["SLURM_JOB_NODELIST"]))
    return {name: value for name, value in ranks.items() if not any(fnmatchcase(name, each) for each in _NOT_FOR_RANKS)}


def ends(line: str) -> Iterator[End]:
    """Yield the ends of ranks that a line of srun's output reports: `srun: error: n2: tasks 2-3: Killed`."""
    if match := _NODE_FAILED.search(line):
        yield End(f"node {match[1]}", 0, match[1])
    if match := _ENDED.search(line):
        node, ranks, code, words = match.groups()
        for rank in expanded(ranks):
            yield End(rank, int(code or -_SIGNALS.get(words, 0)), node)


def first_host(nodes: str) -> str:
    """Return the first name in Slurm's short form of a list: `gpu[07-09,12],login1` begins with gpu07."""
    name = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\]([^\[,]*))?", nodes)
    assert name is not None  # an empty list matches too
    return "".join(part or "" for part in name.groups())
