import json
from types import SimpleNamespace

import pytest

from apm_exp.training.callbacks.consumption import Consumption
from apm_exp.training.callbacks.metrics_log import MetricsLog
from apm_exp.training.metrics_file import read_rows


@pytest.fixture
def logged(tmp_path):
    """A log with steps 1 to 3, and what its mirror was given."""
    consumption, mirrored = Consumption(["a", "b"]), []
    log = MetricsLog(tmp_path / "metrics.jsonl", consumption, mirrored.append)
    log.go_on_from(None)
    for step in (1, 2, 3):
        consumption.take([step % 2])
        state = SimpleNamespace(is_world_process_zero=True, global_step=step)
        log.on_log(None, state, None, logs={"loss": 1.0 / step, "grad_norm": float("inf"), "epoch": 0.5})
        log.on_log(None, state, None, logs={"train_runtime": 3.0})
    return log, mirrored


def test_each_step_is_one_line_on_disk_and_in_the_mirror(logged):
    log, mirrored = logged
    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert rows == mirrored
    assert [(row["step"], row["pairs_seen"], row["loss"]) for row in rows] == [(1, 1, 1.0), (2, 2, 0.5), (3, 3, 1 / 3)]
    assert rows[0]["grad_norm"] is None


def test_a_resumed_log_loses_the_steps_that_are_trained_again(logged, tmp_path, caplog):
    log, _ = logged
    (checkpoint := tmp_path / "checkpoint-3").mkdir()
    log.save(checkpoint)
    rows = read_rows(log.path)
    log.path.write_text(log.path.read_text() + '{"step": 4}\n{"step": 5, "lo')  # a kill in the middle of a line
    log.go_on_from(checkpoint)
    assert read_rows(log.path) == rows
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert log.seconds_before == rows[-1]["seconds"]
    assert not caplog.text
    log.go_on_from(None)
    assert read_rows(log.path) == []


@pytest.mark.parametrize("content", [b"\xff\n", b"", b'[]\n{"step": 2}\n', None])
def test_a_damaged_log_is_named_and_written_again(logged, tmp_path, caplog, content):
    log, _ = logged
    (checkpoint := tmp_path / "checkpoint-3").mkdir()
    log.save(checkpoint)
    rows = read_rows(log.path)
    log.path.unlink() if content is None else log.path.write_bytes(content)
    log.go_on_from(checkpoint)
    assert read_rows(log.path) == rows
    assert f"{log.path}: damaged; restored" in caplog.text


@pytest.mark.parametrize("damaged", [b"\xff", b"[]", b'{"loss": 1}', b"null", b'{"step": "two"}'])
def test_rows_are_read_up_to_one_that_is_damaged(tmp_path, damaged):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + damaged + b'\n{"step": 3}\n')
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1}]
