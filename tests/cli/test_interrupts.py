"""Ctrl-C at any moment: one line, and the exit code of an interrupt."""

import os
import signal
from collections.abc import Mapping

import pytest

from apm_exp.cli import worker_process
from apm_exp.core.errors import INTERRUPTED, interrupts
from apm_exp.jobs.request import Request


def ends_by_ctrl_c(task: str, requests: list[Request], environment: Mapping[str, str]) -> None:
    """End as a worker does that is interrupted before it can handle that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.kill(os.getpid(), signal.SIGINT)


def test_a_worker_that_is_interrupted_while_it_starts_was_not_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker_process, "work", ends_by_ctrl_c)
    assert worker_process.start("run", []) == INTERRUPTED
    said = "error: interrupted; finished steps are kept; re-run the same command to resume\n"
    assert capsys.readouterr().err == said


def fails_while_interrupted() -> None:
    try:
        raise KeyboardInterrupt
    finally:
        raise AttributeError("its state is half-made")


def fails_by_itself() -> None:
    try:
        raise KeyError("x")
    except KeyError as cause:
        raise ValueError("y") from cause


def test_an_interrupt_that_a_librarys_error_hides_is_one() -> None:
    with pytest.raises(AttributeError) as hidden:
        fails_while_interrupted()
    with pytest.raises(ValueError, match="y") as other:
        fails_by_itself()
    assert [interrupts(error) for error in (hidden.value, other.value, None)] == [True, False, False]
