"""What a shell profile or a launcher has left in the environment: cleared, or refused before any work."""

import os
import subprocess

import pytest

from apm_exp.core.environment import clear_launcher, clear_settings, started_too_often, without_launcher
from tests.command import command, environment


def test_what_would_change_results_under_the_same_key_is_cleared_and_named(monkeypatch):
    mine = {"ACCELERATE_MIXED_PRECISION": "bf16", "ACCELERATE_DYNAMO_BACKEND": "EAGER", "NVIDIA_TF32_OVERRIDE": "1"}
    for name, value in (mine | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "NCCL_DEBUG": "INFO"}).items():
        monkeypatch.setenv(name, value)
    assert clear_settings() == sorted([*mine, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
    assert os.environ["NCCL_DEBUG"] == "INFO"
    assert clear_settings() == []


def test_ranks_are_ours_whatever_a_launcher_has_left(monkeypatch):
    left = {"LOCAL_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "MASTER_ADDR": "node0", "TORCHELASTIC_USE_AGENT_STORE": "1"}
    left |= {"GROUP_RANK": "1", "NODE_RANK": "1"}
    kept = {"SLURM_NODEID": "1", "RANKING": "x"}
    assert without_launcher(left | kept | {"PET_NNODES": "2", "PMI_SIZE": "2"}) == kept
    for name, value in (left | kept).items():
        monkeypatch.setenv(name, value)
    clear_launcher()
    assert not left.keys() & os.environ.keys()
    assert {name: os.environ[name] for name in kept} == kept


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, None),
        ({"WORLD_SIZE": "4", "RANK": "0"}, "WORLD_SIZE=4"),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, "OMPI_COMM_WORLD_SIZE=2"),
        ({"PMI_SIZE": "2"}, None),
        ({"PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"}, "MPI_LOCALNRANKS=2"),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, None),  # of a batch script: the job has two tasks, none started
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}, "SLURM_STEP_NUM_TASKS=2"),  # srun python -m apm_exp
        ({"WORLD_SIZE": "not a number"}, None),
    ],
)
def test_a_command_is_started_once(environ, named):
    problem = started_too_often(environ)
    assert problem is None if named is None else problem.startswith(f"{named}: a launcher has started the command")


def test_a_python_that_leaves_out_assertions_is_refused(tmp_path):
    optimized = environment() | {"PYTHONOPTIMIZE": "1"}
    ended = subprocess.run(command(), cwd=tmp_path, env=optimized, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: PYTHONOPTIMIZE")


@pytest.mark.parametrize("task", ["run", "plan"])
def test_a_launcher_is_refused_before_any_work(tmp_path, task):
    started = environment() | {"WORLD_SIZE": "4", "RANK": "0"}
    line = command("output_root=out", f"task={task}")
    ended = subprocess.run(line, cwd=tmp_path, env=started, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: WORLD_SIZE=4: ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
