"""The parent's side of ranks: one stage function in several processes, started by torchrun, and what came of it."""

import inspect
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.errors import Stopped
from apm_exp.core.files import write_json
from apm_exp.runtime.nodes import leader as lead
from apm_exp.runtime.ranks.arguments import packed
from apm_exp.runtime.ranks.failures import Report, raise_first, raise_stopped, read_report
from apm_exp.runtime.ranks.torchrun_process import launched

Counts = dict[str, int | float]


def run_in_ranks(
    function: Callable[..., Mapping[str, int | float]], out: Path, arguments: Mapping[str, Any], processes: int
) -> Counts:
    """Call `function(out, **arguments)` in so many processes; returns the counts that rank 0 returns.

    They are shared out among the machines that follow this one, where there are any (nodes/leader.py).
    function: at the top of a module; each rank calls it with torch.distributed initialised (gloo on a CPU, NCCL on
    GPUs, where rank r has GPU r as its current device, so that "cuda" is its own) and RANK, LOCAL_RANK and
    WORLD_SIZE in its environment. arguments: they cross as JSON: Artifact, Policy, Path, dict, list, text, numbers,
    None; `arguments["runtime"]` is the runtime node. Rank 0's lines and progress reach the screen, of the others
    warnings do, on their machine's; each rank's log is `out/ranks/<rank>.log`, torchrun's `out/ranks/torchrun.log`.

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
        raise_first(_run(exchange / "task.json", processes, arguments["runtime"]["threads"]), logs)
        counts: Counts = json.loads((exchange / "counts.json").read_text())
        return counts
    except Stopped:
        raise_stopped([read_report(exchange, 0, 1)])
        raise
    finally:
        shutil.rmtree(exchange, ignore_errors=True)  # what a rank on a lost node still writes must hide no error


def _run(task: Path, processes: int, threads: int | None) -> list[Report]:
    """Have the ranks do the task, on this machine and on those that follow it; a report from each."""
    leader = lead.leader()
    if leader is None:
        with launched(task, processes=processes, threads=threads) as started:
            started.wait()
        return [read_report(task.parent, 0, started.returncode)]
    each = processes // leader.here.nodes
    options = leader.start_ranks(task, each, threads)
    with launched(task, processes=each, threads=threads, options=options) as started:
        stopped = leader.attend(started)
    return [read_report(task.parent, 0, started.returncode, stopped), *leader.reports.values()]
