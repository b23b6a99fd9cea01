"""W&B mirrors a run offline, degrades when it cannot go online, and never fails one."""

from functools import partial
from pathlib import Path

import pytest

from apm_exp.tracking import tracked, wandb_run
from tests.offline_run import read_offline_run

CONFIG = {"alpha": 2.5, "loss": {"beta": 10.0}}


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


def start(folder: Path, mode: str) -> partial[object]:
    settings = {"mode": mode, "project": "apm_exp", "entity": None, "init_timeout": 5.0}
    return partial(wandb_run, CONFIG, folder, "run-1", "alpha-0123", {"loss.beta": "10"}, **settings)


def test_an_offline_run_holds_config_rows_summary_and_exit_code(tmp_path: Path) -> None:
    with tracked(start(tmp_path, "offline")) as log:
        log({"step": 1, "loss": 0.5})
        log({"step": 2, "loss": 0.25})
        log({"win_rate/value": 0.68})
    run = read_offline_run(tmp_path)
    assert [(row["_step"], row["loss"]) for row in run.history] == [(1, 0.5), (2, 0.25)]
    assert run.config["alpha"] == 2.5
    assert run.config["loss"] == {"beta": 10.0}
    assert run.config["loss_beta"] == "10"
    assert run.summary["win_rate/value"] == 0.68
    assert (run.group, run.project, run.exit_code) == ("alpha-0123", "apm_exp", 0)


def test_the_record_lies_in_the_folder_whatever_the_services_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracked(start(tmp_path, "offline")):
        pass  # W&B's service runs now, with today's working directory
    (tmp_path / "elsewhere" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    with tracked(start(Path("run"), "offline")):
        pass
    assert read_offline_run(tmp_path / "elsewhere" / "run").exit_code == 0


def test_a_run_that_fails_is_recorded_as_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"), tracked(start(tmp_path, "offline")):
        raise RuntimeError("broken")
    assert read_offline_run(tmp_path).exit_code == 1


def test_online_without_a_login_degrades_to_offline_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with tracked(start(tmp_path, "online")) as log:
        log({"step": 1, "loss": 0.5})
    assert len(read_offline_run(tmp_path).history) == 1
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("apm_exp")]
    assert [line.split(":")[0] for line in ours] == ["W&B cannot be reached or has no login"]


def test_the_environment_wins_over_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with tracked(start(tmp_path, "online")) as log:
        log({"step": 1, "loss": 0.5})
    assert list(tmp_path.rglob("*.wandb")) == []


def test_an_unknown_mode_in_the_environment_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "bogus")
    with tracked(start(tmp_path, "offline")) as log:
        log({"step": 1, "loss": 0.5})
    assert len(read_offline_run(tmp_path).history) == 1
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("apm_exp")]
    assert [line.split(":")[0] for line in ours] == ["WANDB_MODE=bogus"]


class Broken:
    """What W&B is when its service has died."""

    def log(self, *_: object, **__: object) -> None:
        raise BrokenPipeError("the service is gone")

    finish = log


def test_a_broken_service_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with tracked(Broken) as log:
        log({"step": 1, "loss": 0.5})
        log({"step": 2, "loss": 0.25})
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "W&B cannot log any more, the rest is in metrics.jsonl only",
        "W&B cannot finish its run",
    ]


def test_a_swept_group_stands_beside_its_node(tmp_path: Path) -> None:
    settings = {"mode": "offline", "project": "apm_exp", "entity": None, "init_timeout": 5.0}
    with tracked(partial(wandb_run, CONFIG, tmp_path, "run-1", None, {"loss": "simpo", "alpha": "2.5"}, **settings)):
        pass
    config = read_offline_run(tmp_path).config
    assert (config["loss"], config["loss_option"], config["alpha"]) == ({"beta": 10.0}, "simpo", "2.5")


def test_without_tracking_nothing_is_recorded(tmp_path: Path) -> None:
    with tracked(None) as log:
        log({"step": 1, "loss": 0.5})
    assert list(tmp_path.iterdir()) == []
