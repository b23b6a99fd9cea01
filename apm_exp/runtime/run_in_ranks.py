"""Run a stage function in several processes (ranks), and raise what a rank raised."""

import inspect
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.errors import Stopped
from apm_exp.core.files import write_json
from apm_exp.runtime.ranks.arguments import packed
from apm_exp.runtime.ranks.failures import Report, raise_first, raise_stopped, read_report
from apm_exp.runtime.ranks.launcher_process import launcher_log
from apm_exp.runtime.ranks.mpirun_process import mpirun
from apm_exp.runtime.ranks.srun_process import srun
from apm_exp.runtime.ranks.torchrun_process import torchrun

Counts = dict[str, int | float]


def run_in_ranks(
    function: Callable[..., Mapping[str, int | float]], out: Path, arguments: Mapping[str, Any], processes: int
) -> Counts:
    """Call `function(out, **arguments)` in `processes` ranks; return the counts that rank 0 returns.

    torchrun starts them on this machine, srun or mpirun on the nodes of an allocation (`runtime.launcher`).
    function: at the top of a module; each rank calls it with torch.distributed initialised (gloo on a CPU, NCCL on
    GPUs, where rank r has GPU r as its current device, so that "cuda" is its own) and RANK, LOCAL_RANK and
    WORLD_SIZE in its environment. arguments: they cross as JSON: Artifact, Policy, Path, dict, list, text, numbers,
    None; `arguments["runtime"]` is the runtime node. Rank 0's lines and progress reach the screen, of the others
    warnings do; each rank's log is `out/ranks/<rank>.log`, the launcher's `out/ranks/launcher.log`.

    Raises what the first failing rank raised: a ValueError as the same ValueError, an OSError as such, anything else
    as RuntimeError, all with the rank's traceback as their cause; ValueError naming the rank if one was killed;
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
        raise_first(_run(exchange / "task.json", processes, arguments["runtime"]), logs)
        counts: Counts = json.loads((exchange / "counts.json").read_text())
        return counts
    except Stopped:
        raise_stopped(read_report(exchange, 1, launcher_log(exchange / "task.json")))
        raise
    finally:
        shutil.rmtree(exchange, ignore_errors=True)  # what a rank on a lost node still writes must hide no error


def _run(task: Path, processes: int, runtime: Mapping[str, Any]) -> Report:
    """Run the task in ranks; return how they ended."""
    nodes, threads = int(runtime.get("nodes", 1)), runtime["threads"]
    launchers = {
        "torchrun": lambda: torchrun(task, processes, threads),
        "srun": lambda: srun(task, processes, nodes, threads),
        "mpirun": lambda: mpirun(task, processes, nodes, threads),
    }
    with launchers[runtime.get("launcher", "torchrun")]() as started:
        started.wait()
    return read_report(task.parent, started.returncode, launcher_log(task))
