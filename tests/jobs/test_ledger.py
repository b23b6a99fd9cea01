"""How a job of a sweep stands: by its record, and by whether somebody holds it."""

import json
import threading
from pathlib import Path

import pytest

from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.ledger import KILLED, as_recorded, job_with, record_of, records, settle, worked_on, write_record
from apm_exp.jobs.request import Request
from apm_exp.jobs.sweep.status import print_status

DONE = {"state": "done", "reason": None, "policy_key": "abc", "headline": "win rate 0.7", "seconds": 3.0}
RUNNING = {"state": "running", "reason": None}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep of three jobs that were not begun."""
    folder = tmp_path / "sweeps" / "alpha-01234567"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps({"jobs": [{"alpha": "1"}, {"alpha": "2"}, {"alpha": "3"}]}))
    (folder / "command.txt").write_text("python -m apm_exp sweeps=alpha\n")
    return folder


def test_a_job_without_a_record_waits(sweep: Path) -> None:
    assert [(job["number"], job["swept"]["alpha"], job["state"]) for job in records(sweep)] == [
        (0, "1", "waiting"),
        (1, "2", "waiting"),
        (2, "3", "waiting"),
    ]


def test_a_job_runs_as_long_as_somebody_holds_it_and_was_killed_after(sweep: Path) -> None:
    with worked_on(sweep, 1) as wanted:
        assert wanted
        write_record(sweep, 1, RUNNING)
        assert record_of(sweep, 1)["state"] == "running"
    assert (record_of(sweep, 1)["state"], record_of(sweep, 1)["reason"]) == ("failed", KILLED)


def test_who_waited_for_a_job_that_was_done_meanwhile_does_not_want_it(sweep: Path) -> None:
    said: list[bool] = []

    def wait() -> None:
        with worked_on(sweep, 0) as wanted:
            said.append(wanted)

    with worked_on(sweep, 0):
        other = threading.Thread(target=wait)
        other.start()
        other.join(0.2)
        assert said == []
        write_record(sweep, 0, DONE)
    other.join(10)
    assert said == [False]
    with worked_on(sweep, 0) as wanted:  # who did not wait was told before that the job is to be done
        assert wanted


@pytest.mark.parametrize(
    ("record", "finished", "then"),
    [
        (DONE, True, "done"),
        (DONE, False, "waiting"),
        ({"state": "failed", "reason": "no"}, False, "waiting"),
        (RUNNING, False, "waiting"),
    ],
)
def test_before_a_sweep_goes_on_only_what_is_finished_stays_done(
    sweep: Path, record: dict[str, object], finished: bool, then: str
) -> None:
    write_record(sweep, 2, record)
    settle(sweep, 2, finished=finished)
    assert record_of(sweep, 2)["state"] == then


def test_a_job_that_somebody_works_on_is_left_alone(sweep: Path) -> None:
    with worked_on(sweep, 2):
        write_record(sweep, 2, RUNNING)
        settle(sweep, 2, finished=False)
        assert record_of(sweep, 2)["state"] == "running"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"state": "done", "sha256": "0a"}'])
def test_a_damaged_record_is_named_and_set_aside_and_the_job_is_done_again(
    sweep: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    write_record(sweep, 2, DONE)
    path = sweep / "jobs" / "2.json"
    path.write_bytes(content)
    assert [job["state"] for job in records(sweep)] == ["waiting"] * 3
    assert path.name in record_of(sweep, 2)["reason"]
    assert path.read_bytes() == content
    settle(sweep, 2, finished=True)
    assert f"{path} " in caplog.text
    assert "job 2 is run again" in caplog.text
    assert [one.read_bytes() for one in path.parent.glob("2.json.damaged-*")] == [content]
    assert record_of(sweep, 2) == {"state": "waiting", "reason": None}


def test_a_changed_digit_in_a_record_is_damage(sweep: Path) -> None:
    write_record(sweep, 2, DONE)
    path = sweep / "jobs" / "2.json"
    path.write_text(path.read_text().replace("0.7", "0.9"))
    assert "has changed since it was written" in record_of(sweep, 2)["reason"]


def test_status_names_damaged_records(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sweep.parent.parent / "runs" / "20260101-000000-dpo-0a0b0c"
    run.mkdir(parents=True)
    (run / "config.yaml").touch()
    for path in (sweep / "sweep.json", run / "result.json"):
        path.write_text("")
    said = " ".join(" ".join(line) for line in status({"output_root": str(sweep.parent.parent)}, None, capsys))
    assert "sweep.json is damaged" in said
    assert "result.json is damaged" in said


def test_the_job_with_a_policy(sweep: Path) -> None:
    write_record(sweep, 1, DONE)
    write_record(sweep, 2, DONE)
    assert (job_with(sweep, "abc"), job_with(sweep, "other")) == (1, None)


def status(config: dict[str, object], sweep: Path | None, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    print_status(Request("status", config, {}, [], "", 0.0, sweep=sweep and str(sweep)))
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_status_of_a_sweep_is_a_line_a_job(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(sweep, 0, DONE)
    write_record(sweep, 1, {"state": "failed", "reason": "loss.beta=-1: too small", "seconds": None})
    title, heads, *jobs = status({"output_root": str(sweep.parent.parent)}, sweep, capsys)
    assert " ".join(title).endswith("alpha-01234567: 1 waiting, 1 done, 1 failed")
    assert heads == ["job", "settings", "state", "seconds", "result"]
    assert jobs == [
        ["0", "alpha=1", "done", "3", "win", "rate", "0.7"],
        ["1", "alpha=2", "failed", "loss.beta=-1:", "too", "small"],
        ["2", "alpha=3", "waiting"],
    ]


def test_status_without_a_sweep_lists_sweeps_and_runs(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = sweep.parent.parent
    run = root / "runs" / "20260101-000000-dpo-0a0b0c"
    run.mkdir(parents=True)
    (run / "config.yaml").touch()
    (run / "result.json").write_text(json.dumps(DONE))
    killed = root / "runs" / "20260102-000000-dpo-0a0b0d"
    killed.mkdir()
    (killed / "config.yaml").touch()
    (killed / "result.json").write_text(json.dumps(RUNNING))
    said = [" ".join(line) for line in status({"output_root": str(root)}, None, capsys)]
    assert "20260102-000000-dpo-0a0b0d running or killed" in said
    assert "alpha-01234567 3 waiting python -m apm_exp sweeps=alpha" in said
    assert "20260101-000000-dpo-0a0b0c done 3 win rate 0.7" in said


def test_status_of_a_sweep_that_was_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = status({"output_root": str(tmp_path)}, tmp_path / "sweeps" / "alpha-0", capsys)
    assert "alpha-0: not started; task=plan shows" in " ".join(line)


def test_a_job_whose_step_was_built_again_is_not_as_it_was_recorded(sweep: Path, tmp_path: Path) -> None:
    step = tmp_path / "policy" / "dpo-01234567"
    step.mkdir(parents=True)
    done = {"key": "k", "counts": {}, "seconds": 1.0, "files": {}}
    own = {"key": "k", "folder": "policy/dpo-01234567", "state": "done"}
    record = {**DONE, "steps": {"policy": own | {"build": "first"}}}
    write_record(sweep, 0, record)
    assert not as_recorded(sweep, 0, tmp_path)
    for build, same in {"first": True, "second": False}.items():
        write_sealed(done | {"build": build}, step / "done")
        assert as_recorded(sweep, 0, tmp_path) is same
    write_sealed(done, step / "done")  # made by a version without builds, and reused
    write_record(sweep, 0, {**DONE, "steps": {"policy": own | {"state": "reused"}}})
    assert as_recorded(sweep, 0, tmp_path)


def test_a_job_of_an_earlier_version_whose_steps_have_other_names_is_done_again(sweep: Path, tmp_path: Path) -> None:
    step = tmp_path / "evaluation" / "win_rate-01234567"
    step.mkdir(parents=True)
    write_sealed({"key": "k", "counts": {}, "seconds": 1.0, "files": {}, "build": "b"}, step / "done")
    old = {"key": "k", "folder": "evaluation/win_rate-01234567", "build": "b", "counts": {}, "reused": False}
    write_record(sweep, 0, {**DONE, "steps": {"evaluation_win_rate": old}})
    assert not as_recorded(sweep, 0, tmp_path)
