"""Ranks on two nodes, which are two processes here: what fails on the other one is raised on node 0."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from apm_exp.core.errors import TERMINATED, Stopped
from apm_exp.runtime.nodes.leader import leading
from apm_exp.runtime.nodes.node_rank import Place
from apm_exp.runtime.nodes.rendezvous import free_port
from apm_exp.runtime.run_in_ranks import run_in_ranks
from apm_exp.runtime.signals import sigterm_noted, stop_on_sigterm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ranks are for Linux")
RUNTIME = {"processes": 1, "nodes": 2, "device": "cpu", "threads": 1, "join_seconds": 120.0}


def counts(out, *, runtime):
    """A stage function: the ranks' numbers, added."""
    import torch

    rank = torch.tensor([int(os.environ["RANK"])])
    torch.distributed.all_reduce(rank)
    return {"sum": rank.item(), "world": int(os.environ["WORLD_SIZE"]), "local": int(os.environ["LOCAL_RANK"])}


def fails(out, *, kill, runtime):
    """A stage function that ends in rank 1 while rank 0 waits for it."""
    import torch

    if os.environ["RANK"] == "1":
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("tokens: nothing is left")
    torch.distributed.barrier()
    return {}


def stops(out, *, runtime):
    """A stage function that ends when any of its ranks is told to, as a training does."""
    import torch

    with sigterm_noted() as asked:
        (out / f"waiting_{os.environ['RANK']}").touch()
        while True:
            torch.distributed.all_reduce(told := torch.tensor(int(asked())))
            if told:
                raise Stopped("the training stopped at step 3")


@pytest.fixture
def config(tmp_path):
    return {"output_root": str(tmp_path / "outputs"), "runtime": RUNTIME}


@pytest.fixture(autouse=True)
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def led(config):
    """This process leads another one in the block, which is yielded; it ends with the code that it is told."""
    code = f"""
import sys
from apm_exp.runtime.nodes.follower import follow
from apm_exp.core.errors import NodeError
from apm_exp.runtime.nodes.node_rank import Place
try:
    follow({config!r}, Place(1, 2, '127.0.0.1', {(port := free_port())}))
except NodeError as error:
    sys.exit(error.code)
"""
    follower = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    with leading(config, Place(0, 2, "127.0.0.1", port)) as leader:
        leader.gather()
        yield follower


def test_two_nodes_share_the_work_and_what_fails_on_one_is_raised_on_the_other(config, tmp_path):
    out = tmp_path / "outputs" / "logps" / "x"
    with led(config) as follower:
        assert run_in_ranks(counts, out, {"runtime": RUNTIME}, 2) == {"sum": 1, "world": 2, "local": 0}
        assert sorted(os.listdir(out / "ranks")) == ["0.log", "1.log", "torchrun.log", "torchrun_1.log"]
        with pytest.raises(ValueError, match=r"^tokens: nothing is left$"):
            run_in_ranks(fails, out, {"kill": False, "runtime": RUNTIME}, 2)
        with pytest.raises(ValueError, match=r"^rank 1 was killed \(SIGKILL; .*/ranks/1.log$"):
            run_in_ranks(fails, out, {"kill": True, "runtime": RUNTIME}, 2)
        _, alive = psutil.wait_procs(psutil.Process(follower.pid).children(recursive=True), timeout=30)
        assert not alive
    assert follower.wait(30) == 0


def test_sigterm_on_one_node_ends_all_in_good_order(config, tmp_path):
    out = tmp_path / "outputs" / "policy" / "x"
    stop_on_sigterm()

    def terminate(follower):
        while len(list(out.glob("waiting_*"))) < 2:
            time.sleep(0.05)
        follower.send_signal(signal.SIGTERM)

    def run():
        with led(config) as follower:
            followers.append(follower)
            threading.Thread(target=terminate, args=(follower,), daemon=True).start()
            run_in_ranks(stops, out, {"runtime": RUNTIME}, 2)

    followers = []
    with pytest.raises(Stopped, match=r"^the training stopped at step 3$"):
        run()
    assert followers[0].wait(30) == TERMINATED
    # torchrun's own way with SIGTERM would kill ranks that take more than 30 s for their checkpoint
    assert "death signal" not in (out / "ranks" / "torchrun.log").read_text()
