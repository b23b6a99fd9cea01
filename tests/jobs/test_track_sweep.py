"""The end of a sweep logs its verdict to W&B: a run of its own, in the group of the sweep's jobs."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.ledger import write_record
from apm_exp.jobs.request import Request
from apm_exp.jobs.sweep.report import write_report
from tests.offline_run import OfflineRun, read_offline_run
from tests.report.finished_sweep import finished_sweep, sweep_folder

COMMAND = "python -m apm_exp -m metric=map,uniform seed=0,1 model.path=/home/me/models/sft"
WANDB: dict[str, Any] = {
    "_target_": "apm_exp.report.tracking.wandb_mirror.wandb_mirror",
    **{"mode": "offline", "project": "apm_exp", "entity": None, "init_timeout": 5.0},
    **{"artifacts": False, "artifact_megabytes": 100.0},
}


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def sweep_in(root: Path, tracking: dict[str, Any] | None) -> Path:
    """The records of a sweep of four jobs that are done."""
    jobs = finished_sweep(root, {"metric": ("map", "uniform"), "seed": ("0", "1")})
    folder = sweep_folder(root)
    write_sealed({"name": "metrics", "key": "k", "jobs": [job["swept"] for job in jobs]}, folder / "sweep.json")
    for job in jobs:
        config = {"tracking": tracking, "trusted_packages": [], "model": {"path": "/home/me/models/sft"}}
        (root / job["run"]).mkdir(parents=True, exist_ok=True)
        (root / job["run"] / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
        write_record(folder, job["number"], job)
    return folder


def end(folder: Path) -> None:
    write_report([Request("sweep_report", {}, {}, [], COMMAND, "id", sweep=str(folder))])


def table(folder: Path, run: OfflineRun, name: str) -> list[dict[str, Any]]:
    """A table of the run, as rows."""
    (path,) = folder.rglob(f"files/{run.summary[f'sweep/{name}/path']}")
    content = json.loads(path.read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def test_the_verdict_the_arms_and_their_differences_are_a_run_of_the_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = sweep_in(tmp_path, WANDB)
    with caplog.at_level("INFO"):
        end(folder)
    run, written = read_offline_run(folder), json.loads((folder / "verdict.json").read_text())
    assert (run.group, run.job_type, run.project, run.exit_code) == (folder.name, "sweep", "apm_exp", 0)
    assert run.summary["sweep/verdict"] == "\n".join(written["verdict"])
    assert run.summary["sweep/verdict"] in caplog.text
    assert (run.summary["sweep/jobs"], run.summary["sweep/jobs_done"]) == (4, 4)
    assert table(folder, run, "arms") == written["arms"]
    assert table(folder, run, "differences") == written["differences"]
    assert {row["arm"] for row in written["arms"]} == {"map", "uniform"}
    assert run.config["command"] == COMMAND.replace("/home/me/models", "...")
    assert not (tmp_path / ".local").exists()


def test_a_verdict_that_changed_is_logged_to_the_same_run_and_one_that_did_not_is_not(tmp_path: Path) -> None:
    folder = sweep_in(tmp_path, WANDB)
    last = (folder / "jobs" / "3.json").rename(tmp_path / "3.json")
    with pytest.raises(SystemExit):  # a job is missing
        end(folder)
    first = read_offline_run(folder)
    (folder / "wandb").rename(tmp_path / "first")
    last.rename(folder / "jobs" / "3.json")
    end(folder)
    second = read_offline_run(folder)
    assert (first.summary["sweep/jobs_done"], second.summary["sweep/jobs_done"]) == (3, 4)
    assert first.run_id == second.run_id
    end(folder)
    assert read_offline_run(folder).run_id == second.run_id  # there is only one record


def test_a_sweep_without_tracking_is_not_logged(tmp_path: Path) -> None:
    folder = sweep_in(tmp_path, None)
    end(folder)
    assert (folder / "report.html").is_file()
    assert not (folder / "wandb").exists()


def test_a_verdict_that_cannot_be_logged_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = sweep_in(tmp_path, WANDB)
    (tmp_path / "runs" / "job-3" / "config.yaml").unlink()
    end(folder)
    assert "the sweep's verdict could not be logged, it is on its page: " in caplog.text
