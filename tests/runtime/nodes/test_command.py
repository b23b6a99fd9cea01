"""The command on two nodes, which are two processes on this machine: killed, typed again, and as in one process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from apm_exp.runtime.nodes.rendezvous import free_port
from tests.command import command, environment, folders, small, small_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ranks are for Linux")
SETTINGS = ["model.steps=5", "trainer.global_batch=4", "trainer.log_every=1"]  # beside SMALL: 6 steps of training


def node(root: Path, number: int, port: int) -> subprocess.Popen[str]:
    """The command as one of two nodes; the second is numbered as Slurm does it."""
    meet = ["runtime=nodes", "runtime.nodes=2", f"runtime.rendezvous=127.0.0.1:{port}", "runtime.device=cpu"]
    arguments = [*small(*SETTINGS), "tracking=none", *meet, "runtime.processes=1", "runtime.join_seconds=120"]
    numbered = {"SLURM_NODEID": "1"} if number else {}
    return subprocess.Popen(
        command(*arguments, *([] if number else ["runtime.node_rank=0"])),
        cwd=root,
        env=environment() | numbered,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_line(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=200)[1].splitlines()[-1]


def wait_for(root: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not list(root.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline, f"{pattern} never came"
        time.sleep(0.05)


@pytest.mark.slow
def test_two_nodes_one_killed_and_typed_again_end_as_one_process(tmp_path: Path) -> None:
    root, alone = tmp_path / "nodes", tmp_path / "alone"
    root.mkdir()
    port = free_port()
    lead, other = node(root, 0, port), node(root, 1, port)
    wait_for(root, "outputs/policy/*/ranks/1.log", lead)
    os.kill(other.pid, signal.SIGKILL)
    began = time.monotonic()
    assert last_line(lead).startswith("error: runtime.nodes=2: node 1 is gone: ")
    assert time.monotonic() - began < 20  # some seconds, and a busy machine
    assert lead.returncode == 1
    other.communicate(timeout=60)
    lead, other = node(root, 0, port), node(root, 1, port)
    assert last_line(lead).startswith("win rate 0.")
    assert last_line(other) == "node 1 of 2: node 0 is done"
    assert (lead.returncode, other.returncode) == (0, 0)
    assert len(list((root / "outputs" / "runs").glob("2*"))) == 2  # the other node keeps no record
    for kind in ("models", "generations", "pairs", "rewards"):
        shutil.copytree(root / "outputs" / kind, alone / "outputs" / kind)
    result = small_run(alone, *SETTINGS)
    assert result.returncode == 0, result.stderr
    assert_same(root, alone)


def assert_same(root: Path, other: Path) -> None:
    """The same pairs are kept, and the weights are equal to 1e-4, as another number of ranks has to have them."""
    tables = [pq.read_table(folders(one, "selection")[0] / "selection.parquet") for one in (root, other)]
    assert tables[0].select(["pair_id", "kept"]).equals(tables[1].select(["pair_id", "kept"]))
    weights = [load_file(folders(one, "policy")[0] / "final" / "model.safetensors") for one in (root, other)]
    torch.testing.assert_close(*weights, atol=1e-4, rtol=0)
