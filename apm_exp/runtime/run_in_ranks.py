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
    """Call `function(out, **arguments)` in `processes` ranks, and return the counts that rank 0 returns.

    torchrun starts the ranks on this machine, srun or mpirun on the nodes of an allocation (`runtime.launcher`).
    function: a function at the top of a module. Each rank calls it with torch.distributed initialized (gloo on a CPU;
    NCCL on GPUs, with the GPU of its local rank as current device) and RANK, LOCAL_RANK and WORLD_SIZE in its
    environment. arguments: passed as JSON, and may be Artifact, Policy, Path, dict, list, str, numbers or None;
    `arguments["runtime"]` is the runtime node. Log lines and progress of rank 0, and warnings of the others, are shown
    on the screen; logs are in `out/ranks/<rank>.log` and `out/ranks/launcher.log`.

    Raises the exception of the first rank that failed: ValueError, OSError, KeyboardInterrupt and Stopped as such,
    anything else as RuntimeError, with the rank's traceback as the cause; and ValueError with the rank's number if it
    was killed. If any of these processes is killed, all others end too.
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
        shutil.rmtree(exchange, ignore_errors=True)  # a rank on a lost node may still write here; keep the first error


def _run(task: Path, processes: int, runtime: Mapping[str, Any]) -> Report:
    """Run the task in ranks, and return how they ended."""
    nodes, threads = int(runtime.get("nodes", 1)), runtime["threads"]
    launchers = {
        "torchrun": lambda: torchrun(task, processes, threads),
        "srun": lambda: srun(task, processes, nodes, threads),
        "mpirun": lambda: mpirun(task, processes, nodes, threads),
    }
    with launchers[runtime.get("launcher", "torchrun")]() as started:
        started.wait()
    return read_report(task.parent, started.returncode, launcher_log(task))
