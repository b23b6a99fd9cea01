"""W&B mirrors a job offline, degrades when it cannot go online, goes on where it stopped, and never fails a job."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from apm_exp.report.tracking.claim import claim, release
from apm_exp.report.tracking.job import TrackedJob, Training
from apm_exp.report.tracking.mirror import Mirror
from apm_exp.report.tracking.start import has_login
from tests.offline_run import read_offline_run
from tests.report.tracking.jobs import CONFIG, NODE, SCORE, job_in, mirror, write_history


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Our own warnings, up to their first colon."""
    found = [record.getMessage() for record in caplog.records if record.name.startswith("apm_exp")]
    return [line.split(":")[0] for line in found]


def test_an_offline_run_holds_config_rows_summary_and_exit_code(tmp_path: Path) -> None:
    with mirror(job_in(tmp_path)) as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
        mirrored.row({"step": 2, "loss": 0.25})
        mirrored.summary({"win_rate": SCORE}, {"pairs": 50, "kept": 20})
    run = read_offline_run(tmp_path)
    assert [(row["_step"], row["train/loss"]) for row in run.history] == [(1, 0.5), (2, 0.25)]
    assert (run.config["alpha"], run.config["gamma_beta_ratio"], run.config["beta"]) == (2.5, 0.5, 10.0)
    assert (run.config["metric_name"], run.config["loss_name"]) == ("map", "simpo")
    assert run.config["loss"]["beta"] == 10.0
    scores = ("", "_low", "_high", "_standard_error", "_n")
    assert [run.summary[f"eval/win_rate{name}"] for name in scores] == [0.68, 0.64, 0.72, 0.02, 40]
    assert (run.summary["selection/pairs"], run.summary["selection/kept"]) == (50, 20)
    assert (run.group, run.project, run.exit_code) == ("alpha-0123", "apm_exp", 0)


def test_no_folder_of_this_machine_is_in_the_record_but_where_files_lie(tmp_path: Path) -> None:
    with mirror(job_in(tmp_path, swept={"model.path": CONFIG["model"]["path"]})) as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
    config = read_offline_run(tmp_path).config
    assert config["model"]["path"] == config["model_path"] == ".../sft"
    (record,) = tmp_path.rglob("*.wandb")
    for folder in (b"/home/me", str(tmp_path).encode(), str(Path.cwd()).encode()):
        assert folder not in record.read_bytes()


def test_the_record_lies_in_the_folder_whatever_the_services_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(job_in(tmp_path)):
        pass  # W&B's service runs now, with today's working directory
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with mirror(job_in(Path(), "run")):
        pass
    assert read_offline_run(tmp_path / "elsewhere" / "run").exit_code == 0


def fail_after(folder: Path, *steps: int) -> None:
    with mirror(job_in(folder, "run-1")) as mirrored:
        for row in write_history(job_in(folder), *steps):
            mirrored.row(row)
        raise RuntimeError("killed")


def test_a_job_that_goes_on_continues_its_run_with_all_rows(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        fail_after(tmp_path, 1, 2, 3)
    write_history(job_in(tmp_path), 1, 2, 3, 4)  # the checkpoint was after step 2, so 3 is trained again
    with mirror(job_in(tmp_path, "run-2")) as mirrored:
        mirrored.row({"step": 3, "loss": 1 / 3})
        mirrored.row({"step": 4, "loss": 1 / 4})
    first, second = (read_offline_run(tmp_path / attempt) for attempt in ("run-1", "run-2"))
    assert (first.exit_code, second.exit_code) == (1, 0)
    assert first.run_id == second.run_id
    assert [(row["_step"], row["train/loss"]) for row in second.history] == [(step, 1 / step) for step in (1, 2, 3, 4)]


def test_rows_that_the_server_has_are_not_sent_again(tmp_path: Path) -> None:
    class Resumed:
        starting_step = 3  # it has steps 0 to 2

        def __init__(self) -> None:
            self.steps: list[int] = []

        def log(self, row: dict[str, float], step: int) -> None:
            self.steps.append(step)

    run = Resumed()
    mirrored = Mirror(run, job_in(tmp_path))
    write_history(job_in(tmp_path), 1, 2, 3)
    for step in (2, 3, 4):
        mirrored.row({"step": step, "loss": 0.0})
    assert run.steps == [3, 4]


def test_a_whole_job_is_not_logged_again_and_a_new_training_is_another_run(tmp_path: Path) -> None:
    for attempt, trains in (("run-1", True), ("run-2", False), ("run-3", True)):
        with mirror(job_in(tmp_path, attempt, trains=trains)):
            pass
    assert not (tmp_path / "run-2").exists()
    assert read_offline_run(tmp_path / "run-1").run_id != read_offline_run(tmp_path / "run-3").run_id


def test_a_job_that_reuses_a_policy_has_its_history(tmp_path: Path) -> None:
    job = job_in(tmp_path, trains=False)
    write_history(job, 1, 2)
    with mirror(job) as mirrored:
        mirrored.rest_of_history()
    assert [row["_step"] for row in read_offline_run(tmp_path).history] == [1, 2]


def two_trainings(folder: Path, attempt: str = "run-1", **changes: Any) -> TrackedJob:
    histories = [folder / f"{number}.jsonl" for number in (1, 2)]
    return job_in(folder, attempt, trainings=tuple(Training(path, n) for n, path in enumerate(histories, 1)), **changes)


def write_rows(path: Path, *steps: int) -> None:
    path.write_text("".join(json.dumps({"step": step, "loss": 1 / step}) + "\n" for step in steps))


def logged(folder: Path) -> list[tuple[int, float, int]]:
    return [(row["_step"], row["train/loss"], row["train/iteration"]) for row in read_offline_run(folder).history]


BOTH = [(1, 1.0, 1), (2, 0.5, 1), (3, 1 / 3, 1), (4, 1.0, 2), (5, 0.5, 2)]


def test_two_trainings_are_one_run_on_one_axis_with_the_iteration_of_each_row(tmp_path: Path) -> None:
    job = two_trainings(tmp_path)
    with mirror(job) as mirrored:
        for number, steps in enumerate([(1, 2, 3), (1, 2)]):
            for step in steps:
                mirrored.log_of(number)({"step": step, "loss": 1 / step})
            write_rows(job.trainings[number].history, *steps)
        mirrored.rest_of_history()
    assert logged(tmp_path) == BOTH


def test_a_job_that_goes_on_in_its_second_training_has_the_rows_of_both(tmp_path: Path) -> None:
    """The first training is reused and logs nothing; the second resumed from a checkpoint after its first step."""
    job = two_trainings(tmp_path)
    write_rows(job.trainings[0].history, 1, 2, 3)
    write_rows(job.trainings[1].history, 1)
    with mirror(job) as mirrored:
        mirrored.log_of(1)({"step": 2, "loss": 0.5})
        mirrored.rest_of_history()
    assert logged(tmp_path) == BOTH


def test_two_reused_trainings_are_logged_from_their_files(tmp_path: Path) -> None:
    job = two_trainings(tmp_path, trains=False)
    write_rows(job.trainings[0].history, 1, 2, 3)
    write_rows(job.trainings[1].history, 1, 2)
    with mirror(job) as mirrored:
        mirrored.rest_of_history()
    assert logged(tmp_path) == BOTH


def test_two_processes_with_one_job_make_one_record(tmp_path: Path) -> None:
    with mirror(job_in(tmp_path, "run-1")), mirror(job_in(tmp_path, "run-2")):
        pass
    assert [path.name for path in tmp_path.glob("run-*")] == ["run-1"]


def test_the_same_job_in_another_folder_or_sweep_is_another_run(tmp_path: Path) -> None:
    with mirror(job_in(tmp_path / "here")):
        pass
    with mirror(job_in(tmp_path / "there")):
        pass
    with mirror(job_in(tmp_path / "here", "run-2", group=None)):
        pass
    folders = (tmp_path / "here" / "run-1", tmp_path / "there", tmp_path / "here" / "run-2")
    assert len({read_offline_run(folder).run_id for folder in folders}) == 3


def test_online_without_a_login_degrades_to_offline_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mirror(job_in(tmp_path), "online") as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
    with mirror(job_in(tmp_path, "run-2", trains=False), "online"):
        pass  # still no login: there is nothing to add
    assert len(read_offline_run(tmp_path).history) == 1
    assert ours(caplog) == ["W&B cannot be reached or has no login"]


@pytest.fixture
def _no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A login at a server that does not answer; W&B reads the environment once, until it is torn down."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("_no_server")
def test_a_server_that_does_not_answer_is_one_warning_and_an_offline_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mirror(job_in(tmp_path), "online", init_timeout=1.0) as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
    (record,) = tmp_path.rglob("offline-run-*")
    assert len(read_offline_run(record).history) == 1
    assert ours(caplog) == ["W&B cannot be reached or has no login"]


@pytest.mark.parametrize("host", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_a_login_is_found_where_wandb_login_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "keys"))
    assert not has_login()
    (tmp_path / "keys").write_text(f"machine {host}\n  login user\n  password {'0123456789' * 4}\n")
    assert has_login()


def test_what_was_logged_offline_is_logged_again_when_there_is_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(job_in(tmp_path)):
        pass
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    again = job_in(tmp_path, trains=False)
    assert claim(again, "offline", NODE["project"], NODE["entity"]) is None
    claimed = claim(again, "online", NODE["project"], NODE["entity"])
    assert claimed is not None
    release(claimed, "online")
    assert claimed.run_id == read_offline_run(tmp_path).run_id
    assert claim(again, "online", NODE["project"], NODE["entity"]) is None


def test_the_environment_wins_over_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with mirror(job_in(tmp_path), "online") as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_mode_in_the_environment_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "bogus")
    with mirror(job_in(tmp_path)) as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
    assert len(read_offline_run(tmp_path).history) == 1
    assert ours(caplog) == ["WANDB_MODE=bogus"]


class Broken:
    """What W&B is when its service has died."""

    starting_step = 0

    def log(self, *_: object, **__: object) -> None:
        raise BrokenPipeError("the service is gone")

    finish = log


def test_a_broken_service_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mirrored = Mirror(Broken(), job_in(tmp_path), megabytes=100)
    mirrored.row({"step": 1, "loss": 0.5})
    mirrored.row({"step": 2, "loss": 0.25})
    mirrored.send([tmp_path], tmp_path)
    mirrored.finish(0)
    assert ours(caplog) == [
        "W&B cannot log any more, the rest is in metrics.jsonl only",
        "W&B cannot finish its run",
    ]


def test_records_that_cannot_be_written_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".tracking").touch()
    with mirror(job_in(tmp_path)) as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
    assert ours(caplog) == ["W&B"]


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_record_of_a_wandb_run_is_named_and_the_job_gets_a_new_one(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_in(tmp_path)
    first = claim(job, "offline", "apm_exp", None)
    assert first
    release(first, "offline")
    first.path.write_text(content)
    second = claim(job, "offline", "apm_exp", None)
    assert second
    assert second.run_id != first.run_id
    assert f"{first.path} is damaged; the job gets a new run" in caplog.text
    release(second, None)


def test_jobs_that_an_agent_of_wandbs_has_started_have_runs_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = {"WANDB_SWEEP_ID": "sweep", "WANDB_RUN_ID": "their-run", "WANDB_PROJECT": "theirs", "WANDB_RESUME": "must"}
    wandb.teardown()  # it reads the environment when it starts
    runs = []
    for name in ("first", "second"):
        for variable, value in theirs.items():
            monkeypatch.setenv(variable, value)
        with mirror(job_in(tmp_path / name, keys=(name,))) as mirrored:
            mirrored.row({"step": 1, "loss": 0.5})
        runs.append(read_offline_run(tmp_path / name))
    wandb.teardown()
    assert [run.project for run in runs] == ["apm_exp", "apm_exp"]
    assert len({run.run_id for run in runs} | {"their-run"}) == 3
    assert caplog.text.count("WANDB_SWEEP_ID, WANDB_RUN_ID, WANDB_RESUME, WANDB_PROJECT: ignored") == 2
