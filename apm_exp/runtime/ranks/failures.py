"""How the ranks of each machine ended, and which of all failures was the first."""

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.errors import Stopped

_SECONDS_TO_NOTICE = 10  # a death is noticed some time after it; less than the 30 s after which torchrun kills
_RAISED = {
    "ValueError": ValueError,
    "OSError": OSError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "Stopped": Stopped,
}


class RankError(Exception):
    """The traceback of a rank, as text: the cause of what is raised here."""


@dataclass(frozen=True)
class Report:
    """What came of one machine's torchrun. Plain values only: it crosses between machines as JSON.

    code: its exit code, minus the signal that killed it. stopped: whether it was killed as another machine's ranks had
    failed. ended: rank -> exit code and time (seconds since 1970) of each that failed; None where torchrun could not
    say it. failures: rank -> what rank.py wrote of its exception.
    """

    node: int
    code: int
    stopped: bool
    ended: Mapping[str, Mapping[str, Any]] | None
    failures: Mapping[str, Mapping[str, Any]]


def read_report(exchange: Path, node: int, code: int, stopped: bool = False) -> Report:
    """The report of this machine, from what its torchrun and its ranks left in the exchange folder."""
    ended = exchange / f"ended_{node}.json"
    failures = {path.stem.partition("_")[2]: json.loads(path.read_text()) for path in exchange.glob("failure_*")}
    return Report(node, code, stopped, json.loads(ended.read_text()) if ended.exists() else None, failures)


def launcher_log(node: int) -> str:
    """The name of the log of a machine's torchrun."""
    return f"torchrun_{node}.log" if node else "torchrun.log"


def raise_first(reports: Sequence[Report], logs: Path) -> None:
    """Raise what stopped the ranks, if anything did: the first failure, or a kill that came before it.

    The clocks of the machines are taken to agree within a few seconds. See ranks.run_in_ranks for what is raised.
    """
    if not (own_end := [report for report in reports if report.code and not report.stopped]):
        return
    raise_stopped(reports)
    for report in own_end:
        if report.ended is None:
            where = f" on node {report.node}" if len(reports) > 1 else ""
            raise ValueError(
                _killed(f"the launcher of the ranks{where}", -report.code, logs / launcher_log(report.node))
            )
    failures = {rank: failure for report in reports for rank, failure in report.failures.items()}
    first = min(failures, key=lambda rank: failures[rank]["time"], default=None)
    before = float("inf") if first is None else failures[first]["time"] + _SECONDS_TO_NOTICE
    for rank, end in ((rank, end) for report in own_end for rank, end in (report.ended or {}).items()):
        torchruns_own = end["code"] == -signal.SIGTERM and first is not None
        if end["code"] < 0 and end["time"] < before and not torchruns_own:
            raise ValueError(_killed(f"rank {rank}", -end["code"], logs / f"{rank}.log"))
    if first is None:
        raise RuntimeError(f"a rank ended with exit code {own_end[0].code} and said nothing; see {logs}")
    failure = failures[first]
    kind = _RAISED.get(failure["kind"], RuntimeError)
    raise kind(*failure["arguments"]) from RankError(f"in rank {first}\n{failure['traceback']}")


def raise_stopped(reports: Sequence[Report]) -> None:
    """Raise Stopped as a rank put it, if one did: they have all agreed to stop and have saved."""
    for failure in (failure for report in reports for failure in report.failures.values()):
        if failure["kind"] == "Stopped":
            raise Stopped(*failure["arguments"])


def _killed(who: str, number: int, log: Path) -> str:
    if number <= 0:
        return f"{who} failed; see {log}"
    name = signal.Signals(number).name
    cause = "; the system does so where memory runs out" if name == "SIGKILL" else ""
    return f"{who} was killed ({name}{cause}); re-run the same command to resume; its log: {log}"
