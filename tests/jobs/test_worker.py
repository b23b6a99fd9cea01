"""What a job says before it runs."""

import logging
import os
import tempfile
from pathlib import Path

import pytest

from apm_exp.core.once import SAID, Once, once_a_command
from apm_exp.jobs.checks.check import warn_unused_alpha
from apm_exp.jobs.request import Request


def request_for(metric: dict[str, object], overrides: list[str], swept: dict[str, str]) -> Request:
    config = {"alpha": 3.0, "metric": metric}
    return Request("run", config, {"metric": "explicit"}, overrides, "", 0.0, swept=swept)


@pytest.mark.parametrize(
    ("metric", "overrides", "swept", "warned"),
    [
        ({}, ["metric=explicit", "alpha=3"], {}, True),
        ({}, ["metric=explicit"], {}, False),
        ({"alpha": 3.0}, ["alpha=3"], {}, False),
        ({}, ["metric=explicit", "alpha=3"], {"alpha": "3"}, False),
    ],
)
def test_an_alpha_that_nothing_takes_is_a_warning_unless_it_is_swept(
    metric: dict[str, object],
    overrides: list[str],
    swept: dict[str, str],
    warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_unused_alpha(request_for(metric, overrides, swept))
    assert caplog.messages == (["alpha=3.0: metric=explicit has no alpha; ignored"] if warned else [])


def test_a_warning_is_said_once_and_an_error_each_time() -> None:
    """Each metric of a report has its own of the same text."""
    levels_and_texts = [(logging.WARNING, "x"), (logging.ERROR, "x"), (logging.INFO, "x")] * 2 + [
        (logging.WARNING, "y")
    ]
    once = Once()
    said = [(level, text) for level, text in levels_and_texts if once.filter(record(text, level))]
    assert said == [*levels_and_texts[:3], *levels_and_texts[4:]]


def record(text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("apm_exp.selection.keep", level, "", 0, "left out: %s", (text,), None)


def test_a_warning_is_said_once_a_command_by_whichever_of_its_processes() -> None:
    with once_a_command():
        file = Path(os.environ[SAID])
        assert [Once().filter(record(text)) for text in ("x", "y", "x", "x\ny")] == [True, True, False, True]
    assert not file.exists()
    assert [Once().filter(record("x")) for _ in range(2)] == [True, True]  # of two commands


def test_where_there_is_no_such_file_each_process_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A job on another machine; a machine without a folder for it."""
    monkeypatch.setenv(SAID, str(tmp_path / "elsewhere"))
    assert [Once().filter(record("x")) for _ in range(2)] == [True, True]
    monkeypatch.setattr(tempfile, "mkstemp", no_room)
    with once_a_command():
        assert [Once().filter(record("x")) for _ in range(2)] == [True, True]


def no_room(**_: str) -> None:
    raise OSError("no folder")
