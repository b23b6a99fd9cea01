"""How the ranks of a step ended, and which failure was the first."""

import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.errors import Stopped

_SECONDS_TO_NOTICE = 10  # until other ranks notice a death; less than the 30 s after which torchrun kills them
_SECONDS_TO_SHOW = 10.0  # until a shared folder shows another machine's files
_RAISED = {
    "ValueError": ValueError,
    "OSError": OSError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "Stopped": Stopped,
}
UNSEEN = "apm_exp: "  # the prefix of a line that a rank can only print, into the launcher's log


class RankError(Exception):
    """The traceback of a rank, as text: the cause of the error that the parent raises."""


@dataclass(frozen=True)
class Report:
    """How the ranks of a step ended.

    code: the launcher's exit code, minus the signal that killed it. ended: rank -> exit code, time (seconds since 1970)
    and, on several machines, node of each that failed; None if the launcher was killed before it reported them.
    failures: rank -> its exception, as rank_main.py wrote it. log: the launcher's.
    """

    code: int
    ended: Mapping[str, Mapping[str, Any]] | None
    failures: Mapping[str, Mapping[str, Any]]
    log: Path


def read_report(exchange: Path, code: int, log: Path) -> Report:
    """Return the report of a step, from the files of its launcher and its ranks in the exchange folder."""
    path = exchange / "ended.json"
    ended = json.loads(path.read_text()) if path.exists() else None
    raised = {rank for rank, end in (ended or {}).items() if end["code"] == 1 and "node" in end}
    deadline = time.monotonic() + _SECONDS_TO_SHOW
    while raised - (failures := _failures(exchange)).keys() and time.monotonic() < deadline and not _unseen(log):
        time.sleep(0.2)
    return Report(code, ended, failures, log)


def _failures(exchange: Path) -> dict[str, Any]:
    return {path.stem.partition("_")[2]: json.loads(path.read_text()) for path in exchange.glob("failure_*.json")}


def raise_first(report: Report, logs: Path) -> None:
    """Raise the first failure of a rank, or the kill that came before it; return if the ranks have succeeded.

    The clocks of the machines must agree within a few seconds. See run_in_ranks for what is raised.
    """
    if not report.code:
        return
    raise_stopped(report)
    if report.ended is None or (report.code < 0 and not report.ended):
        raise ValueError(_killed("the launcher of the ranks", -report.code, report.log))
    first = min(report.failures, key=lambda rank: report.failures[rank]["time"], default=None)
    _raise_killed(report, first, logs)
    if first is None:
        raise _said_nothing(report, logs)
    failure = report.failures[first]
    kind = _RAISED.get(failure["kind"], RuntimeError)
    where = f"in rank {first} on {failure['node']}" if failure.get("node") else f"in rank {first}"
    raise kind(*failure["arguments"]) from RankError(f"{where}\n{failure['traceback']}")


def _raise_killed(report: Report, first: str | None, logs: Path) -> None:
    """Raise ValueError for a rank that a signal killed before the others failed, Stopped if it was SIGTERM for all."""
    ended = report.ended or {}
    times = [end["time"] for end in ended.values()] + ([report.failures[first]["time"]] if first else [])
    killed = {who: end for who, end in ended.items() if end["code"] < 0 or not who.isdecimal()}
    # A launcher ends the other ranks by SIGTERM, so that any other signal comes first.
    for who, end in sorted(killed.items(), key=lambda item: (item[1]["code"] == -signal.SIGTERM, item[1]["time"])):
        launchers_own = end["code"] == -signal.SIGTERM and (first is not None or len(killed) < len(ended))
        if end["time"] < min(times) + _SECONDS_TO_NOTICE and not launchers_own:
            if end["code"] == -signal.SIGTERM and "node" in end:
                raise Stopped("stopped by SIGTERM; finished steps are kept; re-run the same command to resume")
            where = f" on {end['node']}" if "node" in end and who.isdecimal() else ""
            log = logs / f"{who}.log" if who.isdecimal() else report.log
            raise ValueError(_killed(f"rank {who}{where}" if who.isdecimal() else who, -end["code"], log))


def _said_nothing(report: Report, logs: Path) -> Exception:
    """Return the exception for ranks without a failure file: a line that one printed, or the launcher's first error."""
    if unseen := _unseen(report.log):
        return ValueError(unseen)
    lines = report.log.read_text().splitlines() if report.log.exists() else []
    errors = [line for line in lines if "error" in line.lower()]
    said = next((line for line in errors + lines if any(map(str.isalpha, line))), None)
    words = f": {said.strip()}" if said else " and no message"
    return RuntimeError(f"the ranks ended with exit code {report.code}{words}; see {logs}")


def _unseen(log: Path) -> str | None:
    lines = log.read_text().splitlines() if log.exists() else []
    return next((line.removeprefix(UNSEEN) for line in lines if line.startswith(UNSEEN)), None)


def raise_stopped(report: Report) -> None:
    """Raise a rank's own Stopped, if there is one: all ranks have agreed to stop and have saved a checkpoint."""
    for failure in report.failures.values():
        if failure["kind"] == "Stopped":
            raise Stopped(*failure["arguments"])


def _killed(who: str, number: int, log: Path) -> str:
    if number <= 0:
        return f"{who} failed; re-run the same command to resume; see {log}"
    name = signal.Signals(number).name
    cause = "; the system does so if memory runs out" if name == "SIGKILL" else ""
    return f"{who} was killed ({name}{cause}); re-run the same command to resume; its log: {log}"
