"""What is refused before ranks are started on several machines."""

import os
import shutil

import pytest

from apm_exp.runtime.check_nodes import check_launcher, check_one_machine

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
            r"^runtime=slurm: this is not a job of Slurm's; type .* hydra/launcher=",
        ),
        (
            {"nodes": 3, "launcher": "srun"},
            JOB,
            r"^runtime.nodes=3: this job of Slurm's has 2; use runtime.nodes=2, or ",
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
