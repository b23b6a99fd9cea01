"""One rank: `python -m apm_exp.runtime.ranks.rank_main FILE` calls the file's stage function."""

import importlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from apm_exp.core import component
from apm_exp.core.console import configure_logging
from apm_exp.core.errors import Stopped
from apm_exp.core.escaped import escaped_lines
from apm_exp.core.files import write_json
from apm_exp.core.own_code import own_code_named
from apm_exp.runtime.ranks.arguments import unpacked
from apm_exp.runtime.ranks.failures import UNSEEN
from apm_exp.runtime.ranks.rendezvous import LAUNCHER, take_place, this_node
from apm_exp.runtime.settings import check_devices
from apm_exp.runtime.signals import end_with_parent

logger = logging.getLogger(__name__)
_SECONDS_TO_SEE = 60.0  # NFS looks for new files at least that often


def main(file: Path) -> None:
    """Run the task of the file; if it fails, write failure_<rank>.json and end this process with 1."""
    screen = 0  # torchrun passes standard input on unchanged
    if launcher := os.environ.get(LAUNCHER):
        signal.signal(
            signal.SIGUSR1, lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        )  # the launcher keeps SIGTERM for itself
        take_place(launcher)
        screen = 1
        if not _seen(file, _SECONDS_TO_SEE):
            remedy = "give a folder that all nodes share, under the same path"
            sys.exit(f"{UNSEEN}output_root: {file.parent} is not on {this_node()}; {remedy}")
    else:
        end_with_parent(int(os.environ["APM_EXP_TORCHRUN"]), signal.SIGKILL)
    rank = int(os.environ["RANK"])
    log = _open_logs(file.parent.parent, rank, screen)
    threads = os.environ["OMP_NUM_THREADS"]
    print(f"rank {rank} of {os.environ['WORLD_SIZE']}: process {os.getpid()}, OMP_NUM_THREADS={threads}", file=log)
    try:
        from torch.distributed.elastic.multiprocessing.errors import record

        record(_work)(file, rank)  # lets torchrun report the traceback too
    except BaseException as error:
        write_json(_failure(error), file.with_name(f"failure_{rank}.json"))
        print(escaped_lines(traceback.format_exc()), file=log)
        os._exit(1)  # at once: the others may be waiting for this one in a collective operation


def _seen(file: Path, seconds: float) -> bool:
    """Return whether the file exists, after a wait: a shared folder may show another machine's files late."""
    deadline = time.monotonic() + seconds
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    return file.exists()


def _work(file: Path, rank: int) -> None:
    import torch.distributed

    task = json.loads(file.read_text())
    component.trust(task["trusted_packages"])
    arguments: dict[str, Any] = unpacked(task["arguments"])
    _start_communication(arguments["runtime"])
    function = getattr(importlib.import_module(task["module"]), task["function"])
    with own_code_named(arguments):
        counts = function(Path(task["out"]), **arguments)
    if rank == 0:
        write_json(dict(counts), file.with_name("counts.json"))
    torch.distributed.destroy_process_group()


def _start_communication(runtime: dict[str, Any]) -> None:
    import torch.distributed

    from apm_exp.runtime.device import pick_device

    _check_machine(runtime)
    on_gpu = pick_device(runtime).startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")


def _check_machine(runtime: dict[str, Any]) -> None:
    """Raise ValueError with the machine's name if it lacks the devices; the command checked its own machine only."""
    if LAUNCHER in os.environ:
        try:
            check_devices(runtime)
        except ValueError as error:
            raise ValueError(f"{error} (on {this_node()})") from error


def _open_logs(folder: Path, rank: int, stream: int) -> TextIO:
    """Redirect this process's output to its log, show its log lines on the screen too, and return the log.

    stream: the file descriptor of the screen, which shows all lines and the progress of rank 0, and the warnings of
    apm_exp from the others.
    """
    log = (folder / f"{rank}.log").open("w", buffering=1, encoding="utf-8")
    screen = os.fdopen(os.dup(stream), "w", buffering=1, encoding="utf-8", errors="replace")
    for number in (1, 2):
        os.dup2(log.fileno(), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = log, screen
    configure_logging()
    lines = logging.StreamHandler(log)
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    (on_screen,) = logging.getLogger().handlers
    logging.getLogger().addHandler(lines)
    if rank:
        on_screen.setLevel(logging.WARNING)
        on_screen.addFilter(logging.Filter("apm_exp"))
        sys.stderr = log
    return log


def _failure(error: BaseException) -> dict[str, Any]:
    """Return an error as the parent process needs it to raise it again: class, arguments, traceback, time and node."""
    kind = "RuntimeError"
    arguments: list[Any] = [f"{type(error).__name__}: {error}"]
    if isinstance(error, ValueError):
        kind, arguments = "ValueError", [str(error)]
    elif isinstance(error, KeyboardInterrupt):
        kind, arguments = "KeyboardInterrupt", []
    elif isinstance(error, Stopped):
        kind, arguments = "Stopped", [str(error)]
    elif isinstance(error, OSError) and error.errno is not None:
        kind, arguments = "OSError", [error.errno, error.strerror, *([error.filename] if error.filename else [])]
    text = "".join(traceback.format_exception(error))
    return {"kind": kind, "arguments": arguments, "traceback": text, "time": time.time(), "node": this_node()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
