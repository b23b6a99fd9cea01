"""Stage functions for ranks on several nodes, and a command of an allocation that has some of them done."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apm_exp.core.errors import Stopped
from apm_exp.runtime.run_in_ranks import run_in_ranks
from apm_exp.runtime.signals import sigterm_noted, stop_on_sigterm


def places(out: Path, *, runtime: dict[str, Any]) -> dict[str, int]:
    """The sum of the ranks' numbers; each leaves its place by its name, as `node local`."""
    import torch

    rank = torch.tensor([int(os.environ["RANK"])])
    torch.distributed.all_reduce(rank)
    name = f"{os.environ.get('SLURMD_NODENAME')} {os.environ['LOCAL_RANK']} of {os.environ['LOCAL_WORLD_SIZE']}"
    (out / f"place_{os.environ['RANK']}").write_text(name)
    return {"sum": int(rank.item()), "world": int(os.environ["WORLD_SIZE"])}


def fails(out: Path, *, kill: bool, runtime: dict[str, Any]) -> dict[str, int]:
    """End in rank 1 while rank 0 waits for it."""
    import torch

    if os.environ["RANK"] == "1":
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("tokens: nothing is left")
    torch.distributed.barrier()
    return {}


def stops(out: Path, *, runtime: dict[str, Any]) -> dict[str, int]:
    """End when any of the ranks is told to, as a training does."""
    import torch

    with sigterm_noted() as asked:
        (out / f"waiting_{os.environ['RANK']}").touch()
        while True:
            torch.distributed.all_reduce(told := torch.tensor(int(asked())))
            if told:
                raise Stopped("the training stopped at step 3")


def waits(out: Path, *, runtime: dict[str, Any]) -> dict[str, int]:
    """Say the process number and wait for something that does not come."""
    (out / f"pid_{os.environ['RANK']}").write_text(str(os.getpid()))
    time.sleep(100)
    return {}


def main(out: Path, launcher: str, wanted: list[str]) -> None:
    """Print a line of JSON for each of the wanted: what came back, or the class and the message of what was raised."""
    nodes = 2 if launcher == "srun" else 1
    ranks_of_places = 4 if launcher == "srun" else 2
    runtime = {"processes": 2 // nodes, "nodes": nodes, "device": "cpu", "threads": 1, "launcher": launcher}
    stop_on_sigterm()
    steps: dict[str, tuple[Callable[..., Any], dict[str, Any], int]] = {
        "places": (places, {"runtime": runtime | {"processes": 2}}, ranks_of_places),
        "fails": (fails, {"kill": False, "runtime": runtime}, 2),
        "killed": (fails, {"kill": True, "runtime": runtime}, 2),
        "stops": (stops, {"runtime": runtime}, 2),
        "waits": (waits, {"runtime": runtime}, 2),
    }
    for name in wanted:
        if name == "stops":
            threading.Thread(target=_stop, args=(out / name,), daemon=True).start()
        function, arguments, ranks = steps[name]
        try:
            print(json.dumps(run_in_ranks(function, out / name, arguments, ranks)), flush=True)
        except BaseException as error:
            print(json.dumps([type(error).__name__, str(error)]), flush=True)


def _stop(out: Path) -> None:
    while len(list(out.glob("waiting_*"))) < 2:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
