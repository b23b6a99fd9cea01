"""The states of a command's jobs in Slurm's queue; accounting (sacct) is not needed."""

import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping

from apm_exp.core.errors import print_error

# All other states are temporary: the job waits, runs, ends, or is requeued.
_ENDED = frozenset(
    ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "BOOT_FAIL", "DEADLINE")
)
_UNKNOWN_JOB = "Invalid job id"  # Slurm forgets a job some minutes after its end (MinJobAge)
_FIRST_PAUSE, _LONGER, _LONGEST_PAUSE = 1.0, 1.2, 15.0  # seconds between queries, and the factor by which they grow


def ended_jobs(jobs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of these jobs (12, or 12_0 of an array) with its state when it has ended, or "" if Slurm has forgotten
    it.

    A requeued job has not ended.
    """
    left, pause, said = list(jobs), _FIRST_PAUSE, False
    while left:
        states = _states(left)
        if states is None and not said:
            print_error("squeue fails, so the states of the jobs are unknown; waiting until it works again")
        said = states is None
        for job in left if states is not None else []:
            state = (states or {}).get(job, "")
            if not state or state in _ENDED:
                left = [other for other in left if other != job]
                yield job, state
        if left:
            time.sleep(pause)
            pause = min(_LONGER * pause, _LONGEST_PAUSE)


def _states(jobs: list[str]) -> Mapping[str, str] | None:
    """Return the state of each job that Slurm knows; None if squeue fails."""
    arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))
    asked = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={arrays}", "--format=%i %T"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    if said.returncode and _UNKNOWN_JOB not in said.stderr:
        return None
    return dict(line.split(maxsplit=1) for line in said.stdout.splitlines() if " " in line)
