"""How the jobs of a command stand in Slurm's queue; no accounting (sacct) is needed."""

import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping

from apm_exp.core.errors import print_error

# Any other state is one that the job leaves again: it waits, runs, ends, or is requeued.
_ENDED = frozenset(
    ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "BOOT_FAIL", "DEADLINE")
)
_UNKNOWN_JOB = "Invalid job id"  # Slurm forgets a job some minutes after its end (MinJobAge)
_FIRST_PAUSE, _LONGER, _LONGEST_PAUSE = 1.0, 1.2, 15.0  # seconds between looks, and by how much they grow


def ended_jobs(jobs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of these jobs (12, or 12_0 of an array) when it has ended, and how: a state of Slurm's, or "" for one
    that Slurm has forgotten. One that is requeued has not ended.
    """
    left, pause, said = list(jobs), _FIRST_PAUSE, False
    while left:
        states = _states(left)
        if states is None and not said:
            print_error("squeue fails, so that nothing is known of the jobs; waiting until it works again")
        said = states is None
        for job in left if states is not None else []:
            state = (states or {}).get(job, "")
            if not state or state in _ENDED:
                left = [one for one in left if one != job]
                yield job, state
        if left:
            time.sleep(pause)
            pause = min(_LONGER * pause, _LONGEST_PAUSE)


def _states(jobs: list[str]) -> Mapping[str, str] | None:
    """The state of each job that Slurm knows; None if it does not say."""
    arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))
    asked = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={arrays}", "--format=%i %T"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    if said.returncode and _UNKNOWN_JOB not in said.stderr:
        return None
    return dict(line.split(maxsplit=1) for line in said.stdout.splitlines() if " " in line)
