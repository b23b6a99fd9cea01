import json
import time

import pytest

from apm_exp.training import metrics_file as module
from apm_exp.training.metrics_file import follow


def line(step: int, seconds: float) -> str:
    return json.dumps({"step": step, "seconds": seconds}) + "\n"


def test_hands_on_each_new_row_once_while_the_file_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.01)
    path, rows = tmp_path / "metrics.jsonl", []
    with follow(path, rows.append), path.open("a") as file:
        file.write(line(1, 0.5) + '{"step": 2, "se')
        file.flush()
        deadline = time.monotonic() + 10
        while not rows and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [row["step"] for row in rows] == [1]
        file.write('conds": 0.7}\n' + line(3, 0.9))
    assert [row["step"] for row in rows] == [1, 2, 3]


def test_rows_of_an_earlier_attempt_are_not_handed_on_again(tmp_path):
    """Steps 1 to 3 are there; the training goes on after step 2, and then fails."""
    path, rows = tmp_path / "metrics.jsonl", []
    path.write_text(line(1, 0.5) + line(2, 0.7) + line(3, 0.9))

    def fails_after_step_4() -> None:
        with follow(path, rows.append):
            path.write_text(line(1, 0.5) + line(2, 0.7) + line(3, 0.8) + line(4, 1.1))
            raise ValueError("over")

    with pytest.raises(ValueError, match="over"):
        fails_after_step_4()
    assert rows == [{"step": 3, "seconds": 0.8}, {"step": 4, "seconds": 1.1}]
