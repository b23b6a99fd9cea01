"""The parent's side of ranks: one stage function in several processes, started by torchrun, and what came of it."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

from apm_exp import component
from apm_exp.artifact import Artifact
from apm_exp.files import write_json
from apm_exp.stopping import Stopped
from apm_exp.types import Policy

Counts = dict[str, int | float]
_FROM_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
_CROSSING = {kind.__name__: kind for kind in (Artifact, Policy)}
_SECONDS_TO_NOTICE = 10  # a death is noticed some time after it; less than the 30 s after which torchrun kills
_RAISED = {
    "ValueError": ValueError,
    "OSError": OSError,
    "KeyboardInterrupt": KeyboardInterrupt,
    "Stopped": Stopped,
}
_PASSED_ON = {KeyboardInterrupt: signal.SIGINT, Stopped: signal.SIGTERM}


class RankError(Exception):
    """The traceback of a rank, as text: the cause of what is raised here."""


def run_in_ranks(
    function: Callable[..., Mapping[str, int | float]], out: Path, arguments: Mapping[str, Any], processes: int
) -> Counts:
    """Call `function(out, **arguments)` in so many processes; returns the counts that rank 0 returns.

    function: at the top of a module; each rank calls it with torch.distributed initialised (gloo on a CPU, NCCL on
    GPUs, where rank r has GPU r as its current device, so that "cuda" is its own) and RANK, LOCAL_RANK and
    WORLD_SIZE in its environment. arguments: they cross as JSON: Artifact, Policy, Path, dict, list, text, numbers,
    None; `arguments["runtime"]` is the runtime node. Rank 0's lines and progress reach the screen, of the others
    warnings do; each rank's log is `out/ranks/<rank>.log`, torchrun's `out/ranks/torchrun.log`.

    Raises what the first failing rank raised: a ValueError as the same ValueError, an OSError as such, anything else
    as RuntimeError, all with the rank's traceback as their cause; ValueError naming the rank where one was killed;
    KeyboardInterrupt; Stopped, as a rank put it where one did. No process is left when any of them, or this one, is
    killed.
    """
    logs = out / "ranks"
    shutil.rmtree(logs, ignore_errors=True)
    exchange = logs / "exchange"
    exchange.mkdir(parents=True)
    task = {"module": inspect.getmodule(function).__name__, "function": function.__name__, "out": str(out.absolute())}  # type: ignore[union-attr]
    task |= {"arguments": packed(arguments), "trusted_packages": sorted(component.trusted())}
    write_json(task, exchange / "task.json")
    try:
        code = _torchrun(exchange / "task.json", processes, arguments["runtime"]["threads"])
        if code:
            _raise_first(exchange, code)
        counts: Counts = json.loads((exchange / "counts.json").read_text())
        return counts
    except Stopped:
        _raise_stopped(exchange)
        raise
    finally:
        shutil.rmtree(exchange)


def packed(value: Any) -> Any:
    """A value as JSON can hold it; `unpacked` gives it back."""
    if isinstance(value, Path):
        return {"_crossing_": "Path", "value": str(value.absolute())}
    if is_dataclass(value) and type(value).__name__ in _CROSSING:
        content = {field.name: packed(getattr(value, field.name)) for field in fields(value)}
        return {"_crossing_": type(value).__name__, "value": content}
    if isinstance(value, Mapping):
        return {key: packed(item) for key, item in value.items()}
    return [packed(item) for item in value] if isinstance(value, list | tuple) else value


def unpacked(value: Any) -> Any:
    """What `packed` was given; a tuple comes back as a list."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "_crossing_" not in value:
        return {key: unpacked(item) for key, item in value.items()}
    kind, content = value["_crossing_"], value["value"]
    return Path(content) if kind == "Path" else _CROSSING[kind](**unpacked(content))


def _torchrun(task: Path, processes: int, threads: int | None) -> int:
    """Run the task to its end; returns torchrun's exit code. Where this process is interrupted, so are the ranks."""
    command = [sys.executable, "-m", "apm_exp.torchrun", str(os.getpid()), str(task.absolute()), str(processes)]
    with (task.parent.parent / "torchrun.log").open("w") as log:
        # The screen goes as standard input, which torchrun hands on untouched; its own output is for the log. A
        # session of its own keeps the terminal's Ctrl-C from reaching it twice.
        started = subprocess.Popen(
            command, env=_environment(processes, threads), stdin=2, stdout=log, stderr=log, start_new_session=True
        )
        try:
            return started.wait()
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
    kept = {name: value for name, value in os.environ.items() if name not in _FROM_A_LAUNCHER}
    kept |= {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path), "PYTHONSAFEPATH": "1"}
    each = str(threads or max(1, available_cores() // processes))
    return kept | {"OMP_NUM_THREADS": each if threads else kept.get("OMP_NUM_THREADS", each)}


def available_cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _raise_first(exchange: Path, code: int) -> NoReturn:
    """Raise what stopped the ranks: the first failure, or a kill that came before it."""
    _raise_stopped(exchange)
    ended = exchange / "ended.json"
    if not ended.exists():
        raise ValueError(_killed("the launcher of the ranks", -code, exchange.parent / "torchrun.log"))
    failures = _failures(exchange)
    first = min(failures, key=lambda rank: failures[rank]["time"], default=None)
    before = float("inf") if first is None else failures[first]["time"] + _SECONDS_TO_NOTICE
    for rank, end in json.loads(ended.read_text()).items():
        torchruns_own = end["code"] == -signal.SIGTERM and first is not None
        if end["code"] < 0 and end["time"] < before and not torchruns_own:
            raise ValueError(_killed(f"rank {rank}", -end["code"], exchange.parent / f"{rank}.log"))
    if first is None:
        raise RuntimeError(f"a rank ended with exit code {code} and said nothing; see {exchange.parent}")
    failure = failures[first]
    kind = _RAISED.get(failure["kind"], RuntimeError)
    raise kind(*failure["arguments"]) from RankError(f"in rank {first}\n{failure['traceback']}")


def _raise_stopped(exchange: Path) -> None:
    """Raise Stopped as a rank put it, if one did: they have all agreed to stop and have saved."""
    for failure in _failures(exchange).values():
        if failure["kind"] == "Stopped":
            raise Stopped(*failure["arguments"])


def _failures(exchange: Path) -> dict[int, dict[str, Any]]:
    """What each rank that failed has left."""
    return {int(path.stem.partition("_")[2]): json.loads(path.read_text()) for path in exchange.glob("failure_*")}


def _killed(who: str, number: int, log: Path) -> str:
    if number <= 0:
        return f"{who} failed; see {log}"
    name = signal.Signals(number).name
    cause = "; the system does so where memory runs out" if name == "SIGKILL" else ""
    return f"{who} was killed ({name}{cause}); the same command goes on from here; its log: {log}"
