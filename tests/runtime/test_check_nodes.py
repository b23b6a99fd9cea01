"""What is refused before any work on several machines, by the command and by the tiny step on all of them."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from apm_exp.runtime.check_nodes import check_launcher, check_one_machine, is_alike
from apm_exp.runtime.provenance import versions
from apm_exp.runtime.ranks import rank_main

JOB = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2"}


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.parametrize(
    ("runtime", "environ", "message"),
    [
        (
            {"nodes": 2, "launcher": "srun"},
            {},
            r"^runtime=slurm: not in a Slurm job; run .* hydra/launcher=",
        ),
        (
            {"nodes": 3, "launcher": "srun"},
            JOB,
            r"^runtime.nodes=3: this Slurm job has 2; use runtime.nodes=2, or ",
        ),
    ],
)
def test_ranks_that_nothing_can_start_are_refused(runtime, environ, message):
    with pytest.raises(ValueError, match=message):
        check_launcher(runtime, environ)


def test_several_machines_are_not_for_torchrun():
    with pytest.raises(
        ValueError, match=r"^runtime.nodes=2: runtime.launcher=torchrun starts the ranks of one machine;"
    ):
        check_one_machine({"nodes": 2})
    check_one_machine({"nodes": 1})
    check_one_machine({"nodes": 2, "launcher": "srun"})


def test_one_machine_and_an_allocation_are_not(monkeypatch):
    check_launcher({"nodes": 1}, {})
    check_launcher({"nodes": 2, "launcher": "srun"}, JOB)
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    check_launcher({"nodes": 2, "launcher": "mpirun"}, root)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ValueError, match=r"^runtime=mpi: mpirun refuses to run as root; .* set OMPI_A.*=1 OMPI_.*=1$"):
        check_launcher({"nodes": 2, "launcher": "mpirun"}, {})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for launcher, name in (("srun", "slurm"), ("mpirun", "mpi")):
        with pytest.raises(ValueError, match=f"^runtime={name}: "):
            check_launcher({"nodes": 2, "launcher": launcher}, JOB)


def test_a_node_with_other_software_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURMD_NODENAME", "n2")
    here = versions() | {"torch": "1.0"}
    torch = re.escape(str(versions()["torch"]))
    message = rf"^versions.torch={torch} on n2: it is 1.0 on node 0; use the same software on all nodes$"
    with pytest.raises(ValueError, match=message):
        is_alike(tmp_path, versions_here=here, runtime={})


def test_a_node_that_lacks_a_device_is_named(monkeypatch):
    runtime = {"device": "mps" if sys.platform == "linux" else "cuda:9", "processes": 1, "nodes": 2}
    monkeypatch.setenv("SLURMD_NODENAME", "n2")
    monkeypatch.setenv("APM_EXP_LAUNCHER", "srun")
    with pytest.raises(ValueError, match=r"^runtime.device=.*; use .* \(on n2\)$"):
        rank_main._check_machine(runtime)


def test_a_node_that_does_not_see_the_folder_is_named(tmp_path):
    code = "import pathlib, apm_exp.runtime.ranks.rank_main as rank; rank._SECONDS_TO_SEE = 0; "
    code += f"rank.main(pathlib.Path({str(tmp_path / 'ranks' / 'exchange' / 'task.json')!r}))"
    place = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0", "SLURMD_NODENAME": "n2"}
    meet = {"MASTER_ADDR": "n1", "MASTER_PORT": "1", "LOCAL_WORLD_SIZE": "1", "APM_EXP_LAUNCHER": "srun"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | place | meet, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"apm_exp: output_root: {tmp_path}/ranks/exchange is not on n2; give a folder that ")
