"""A study that searches: its ends are checked first, its trials are jobs, and the same command goes on with it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from apm_exp.cli import worker_process as launch
from apm_exp.cli.app import run
from apm_exp.cli.multirun.search import ends
from apm_exp.jobs.request import Request

BEST = 2.0
SEARCH = ["sweeps=optuna_alpha", "hydra.sweeper.sampler.n_startup_trials=2"]  # the third learns from the first two
pytestmark = pytest.mark.filterwarnings("ignore:.*declarative_base:DeprecationWarning")  # optuna 2 on SQLAlchemy 2


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        (["alpha=interval(0.1,10)"], [["alpha=0.1"], ["alpha=10.0"]]),
        (["alpha=tag(log, interval(1, 2))", "seed=3"], [["alpha=1.0", "seed=3"], ["alpha=2.0", "seed=3"]]),
        (
            ["alpha=interval(1.0,2.0)", "loss=dpo,simpo,ipo"],
            [["alpha=1.0", "loss=dpo"], ["alpha=2.0", "loss=simpo"], ["alpha=2.0", "loss=ipo"]],
        ),
        (["seed=3"], [["seed=3"]]),
    ],
)
def test_every_end_and_every_value_is_in_a_job_that_is_checked(overrides: list[str], jobs: list[list[str]]) -> None:
    assert ends(OverridesParser.create().parse_overrides(overrides)) == jobs


class Workers:
    """In the place of workers: they score an alpha by its distance from the best one; one trial fails."""

    def __init__(self, fails: int | None) -> None:
        self.fails = fails
        self.checked: list[float] = []
        self.alphas: list[float] = []

    def start(self, task: str, requests: list[Request], **_: Any) -> int:
        if task == "check":
            self.checked += [request.config["alpha"] for request in requests]
        return self._trial(requests[0]) if task == "run" else 0

    def _trial(self, request: Request) -> int:
        alpha = float(request.config["alpha"])
        assert request.swept == {"alpha": str(alpha)}
        self.alphas.append(alpha)
        done = request.number != self.fails
        score = {"win_rate": {"value": -abs(math.log(alpha / BEST))}} if done else {}
        record = {"state": "done" if done else "failed", "swept": request.swept, "scores": score}
        jobs = Path(str(request.sweep)) / "jobs"
        jobs.mkdir(exist_ok=True)
        (jobs / f"{request.number}.json").write_text(json.dumps(record))
        return 0 if done else 1


def search(monkeypatch: pytest.MonkeyPatch, trials: int, fails: int | None = None) -> tuple[int, Workers]:
    workers = Workers(fails)
    monkeypatch.setattr(launch, "start", workers.start)
    monkeypatch.setattr("sys.argv", ["apm_exp"])
    return run([*SEARCH, f"hydra.sweeper.n_trials={trials}"]), workers


def test_a_study_maximizes_the_score_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APM_EXP_SWEEP_FOLDER", "")
    _, first = search(monkeypatch, 4)
    assert first.checked == [0.1, 10.0]
    assert all(0.1 <= alpha <= 10 for alpha in first.alphas)
    _, second = search(monkeypatch, 6)
    assert second.alphas[:4] == first.alphas
    (folder,) = (tmp_path / "outputs" / "sweeps").glob("optuna_alpha-*")
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert found["best_params"]["alpha"] == min(second.alphas, key=lambda alpha: abs(math.log(alpha / BEST)))


def test_a_trial_that_fails_ends_neither_the_study_nor_in_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APM_EXP_SWEEP_FOLDER", "")
    code, workers = search(monkeypatch, 3, fails=1)
    assert (code, len(workers.alphas)) == (1, 3)


def test_a_study_of_which_every_trial_fails_says_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APM_EXP_SWEEP_FOLDER", "")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as the command sets it
    code, _ = search(monkeypatch, 1, fails=0)
    assert code == 1
    assert "error: no trial of 1 was completed, so there is no best one; job 0 (alpha=" in capsys.readouterr().err
