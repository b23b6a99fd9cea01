"""The jobs of a multirun in processes of Hydra's other launchers, and what is refused before any is started."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from apm_exp.cli.multirun.launchers import n_jobs
from tests.command import SMALL, apm_exp, folders, started

WITHOUT_PLUGINS = """
import sys
sys.modules["hydra_plugins"] = None  # as where no extra is installed
from apm_exp.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """A folder in which two jobs with one scoring ran side by side, of which the second fails, and how that ended."""
    root = tmp_path_factory.mktemp("side by side")
    unused = "alpha_rule=balanced"
    jobs = ["until=selection", "dataset.holdout=0.05", "keep=threshold", "keep.minimum=0,1000000", unused]
    result = started(root, *SMALL, "tracking=none", "-m", *jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    return root, result


def test_joblib_does_what_is_shared_once_and_each_line_names_its_job(ran: tuple[Path, CompletedProcess[str]]) -> None:
    root, result = ran
    found = {kind: len(folders(root, kind)) for kind in ("generations", "logps", "selection", "policy")}
    assert found == {"generations": 1, "logps": 1, "selection": 1, "policy": 0}
    lines = [line for line in result.stderr.splitlines() if " logps " in line and "waiting" not in line]
    assert sorted(line.split()[0] for line in lines) == ["[0]", "[1]"]
    assert sum(" reused " in line for line in lines) == 1


def test_a_warning_of_every_job_and_of_the_check_before_them_is_said_once(
    ran: tuple[Path, CompletedProcess[str]],
) -> None:
    lines = [line for line in ran[1].stderr.splitlines() if "warning: alpha_rule=balanced: alpha=0.25 is a num" in line]
    assert len(lines) == 1


def test_a_failed_job_is_the_commands_failure_and_the_other_is_done(ran: tuple[Path, CompletedProcess[str]]) -> None:
    root, result = ran
    assert result.returncode == 1, result.stderr
    first, second = (json.loads(path.read_text()) for path in sorted(root.glob("outputs/sweeps/*/jobs/*.json")))
    assert (first["state"], first["swept"]) == ("done", {"keep.minimum": "0"})
    kept = re.match(r"(\d+) of \1 pairs kept by map, alpha 0.25; 3 held out: outputs/selection/", first["headline"])
    assert kept
    assert (second["state"], second["swept"]) == ("failed", {"keep.minimum": "1000000"})
    reason = f"keep.minimum=1000000: would keep 0 of {kept[1]} pairs"
    assert f"error: job 1 (keep.minimum=1000000): {reason}" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("1 of 2 jobs done | report: ")
    assert list(root.glob("outputs/.locks/command-*")) == []


def test_a_job_of_submitit_finds_what_is_there(ran: tuple[Path, CompletedProcess[str]]) -> None:
    root, _ = ran
    result = started(root, *SMALL, "tracking=none", "until=logps", "-m", "seed=0", "hydra/launcher=submitit_local")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1].startswith("1 of 1 jobs done | report: ")
    (said,) = root.glob("outputs/sweeps/*/.submitit/*/*_log.err")
    assert said.read_text().count("6 steps reused: ") == 1  # all but the rewards of pairs, which log-probs do not need


def test_the_script_that_slurm_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run: the sbatch of this test keeps the script, and refuses it."""
    for name, does in (
        ("sbatch", f'cp "$1" "{tmp_path}/script.sh"; echo "no such partition" >&2; exit 1'),
        ("srun", ""),
    ):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    settings = ["hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=90", "runtime=slurm", "runtime.nodes=3"]
    settings += ["hydra.launcher.additional_parameters.mail-user=me@host", "hydra.launcher.srun_args=[--quiet]"]
    result = apm_exp(tmp_path, "sweeps=alpha", "hydra/launcher=slurm", *settings, "tracking=none")
    assert result.returncode == 1
    assert "Hydra's launcher or sweeper failed: " in result.stderr
    script = (tmp_path / "script.sh").read_text()
    flags = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert flags >= {"nodes=3", "ntasks-per-node=1", "gpus-per-node=8", "cpus-per-task=8", "partition=gpu", "time=90"}
    assert flags >= {"signal=TERM@300", "array=0-4%5", "mail-user=me@host"}
    (started,) = [line for line in script.splitlines() if line.startswith("srun ")]
    assert " --nodes=1 --ntasks=1 --overlap --quiet " in started  # the command runs once, on the first node
    assert " -u -m submitit.core._submit " in started


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hydra/launcher=joblib"], "hydra/launcher=joblib: only applies to a multirun; add -m, or remove it"),
        (
            ["-m", "hydra/launcher=slurm"],
            "hydra/launcher=slurm: this machine has no Slurm (no sbatch or srun in PATH); remove it for one job "
            "after the other, or hydra/launcher=joblib hydra.launcher.n_jobs=2 for two in parallel",
        ),
        (
            ["-m", "runtime=slurm", "hydra/launcher=joblib"],
            "runtime.nodes=2: hydra/launcher=joblib supports only one machine; set runtime.nodes=1, or hydra/launcher=",
        ),
        (["-m", "hydra/launcher=jobli"], "hydra/launcher=jobli: no such option; did you mean 'joblib'?"),
        (["-m", "hydra.launcher.partition=a"], "hydra.launcher.partition: the launcher has no such setting; "),
    ],
)
def test_what_a_launcher_cannot_do_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # a machine without Slurm
    result = apm_exp(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {message}"), result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweeps=optuna_alpha"], "hydra/sweeper=optuna: not installed; pip install -e '.[optuna]'"),
        (["-m", "hydra/launcher=joblib"], "hydra/launcher=joblib: not installed; pip install -e '.[joblib]'"),
        (["-m", "hydra/launcher=slurm"], "hydra/launcher=submitit_slurm: not installed; pip install -e '.[slurm]'"),
    ],
)
def test_a_missing_extra_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_PLUGINS, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")


@pytest.mark.parametrize(
    ("given", "jobs", "on_gpus", "expected"),
    [(2, 5, 0, 2), (8, 5, 0, 5), (-1, 20, 8, 8), (-2, 20, 8, 7), (16, 20, 8, 8), (-1, 3, 8, 3)],
)
def test_how_many_run_at_the_same_time(given: int, jobs: int, on_gpus: int, expected: int) -> None:
    assert n_jobs(given, jobs, on_gpus) == expected
