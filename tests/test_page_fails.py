"""A page that cannot be drawn is a warning: what was trained and evaluated stands."""

import json
from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.jobs.record import what_next
from apm_exp.jobs.report_step import draw_page
from apm_exp.jobs.request import Request
from apm_exp.jobs.sweep import report as sweep
from apm_exp.pipeline.step import Step

VERSION = 1
CONFIG: dict[str, Any] = {"rebuild": "none", "output_root": "outputs"}


def no_page(out: Path) -> dict[str, int]:
    raise IndexError("tuple index out of range")


def test_the_page_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    page = Step("report", "", "x", no_page, {}, tmp_path, FileDigests(tmp_path / ".digests.json"))
    monkeypatch.setattr("apm_exp.jobs.report_step.report_step", lambda *_, **__: page)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    request = Request("run", CONFIG, {"metric": "map"}, [], "python -m apm_exp", "id")
    assert draw_page(request, {}, tmp_path / "runs" / "one") is None
    assert caplog.messages == [
        "the page could not be drawn, the result stands: IndexError: tuple index out of range "
        f"(while building {page.folder}); the same command draws it again"
    ]
    assert what_next({"report": None, "kept": 1, "policy_key": "k"}, "one", "outputs") == ""


def test_the_page_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise IndexError("no")

    monkeypatch.setattr("apm_exp.report.sweep.page.write_sweep_report", broken)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "sweep.json").write_text('{"jobs": [{}]}')
    (tmp_path / "jobs" / "0.json").write_text(json.dumps({"state": "done", "report": None}))
    with caplog.at_level("INFO"):
        sweep.write_report([Request("sweep_report", {}, {}, [], "command", "id", sweep=str(tmp_path))])
    assert caplog.messages == [
        "the sweep's page could not be drawn, the results stand: IndexError: no",
        "1 of 1 jobs done",
    ]
