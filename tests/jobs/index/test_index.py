"""The index of an output_root: every run and sweep, what they show, and links that work from a file."""

import html
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from apm_exp.core.files import write_json, write_text
from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.index.page import write_index

WON = "win rate 68.1% (65.9 to 70.4) against the starting policy"
LINE = "win rate: map - uniform: +0.30 points, -0.83 to +1.43, inside the noise; 3 seeds"


def run(root: Path, name: str, *typed: str, state: str = "done", page: bool = True, **fields: Any) -> Path:
    """The record of a run."""
    folder = root / "runs" / name
    (folder / "report").mkdir(parents=True)
    if page:
        write_text("page", folder / "report" / "report.html")
    write_text("x: 1\n", folder / "config.yaml")
    content = {"state": state, "reason": None, "headline": WON, "command": " ".join(["python -m apm_exp", *typed])}
    steps = {f"step{number}": {"state": "done", "counts": {"rows": number}} for number in range(10)}
    write_sealed(content | {"steps": steps, "sweep": None} | fields, folder / "result.json")
    return folder


def sweep(root: Path, name: str, *states: str) -> Path:
    """The record of a sweep, whose jobs stand so."""
    folder = root / "sweeps" / name
    (folder / "jobs").mkdir(parents=True)
    write_sealed(
        {"name": name, "key": "k", "jobs": [{"seed": str(n)} for n in range(len(states))]}, folder / "sweep.json"
    )
    for number, state in enumerate(states):
        write_sealed({"state": state, "reason": None}, folder / "jobs" / f"{number}.json")
    write_text("python -m apm_exp -m metric=map,uniform 'dataset.path=\"my pairs\"' seed=0,1\n", folder / "command.txt")
    write_sealed({"verdict": [LINE], "table": []}, folder / "verdict.json")
    write_text("page", folder / "report.html")
    return folder


def index(root: Path) -> str:
    write_index(root)
    return (root / "index.html").read_text()


def rows(page: str) -> list[list[str]]:
    """The text of each cell of the rows of all tables."""
    found = re.findall(r"<tr><th scope=\"row\".*?</tr>", page, re.DOTALL)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    plain = [[html.unescape(re.sub(r"<br>|\s+", " ", re.sub(r"<wbr>", "", cell))) for cell in row] for row in cells]
    return [[" ".join(re.sub(r"<.*?>", " ", cell).split()) for cell in row] for row in plain]


def test_sweeps_and_runs_are_listed_newest_first_with_verdict_date_state_and_what_differs(tmp_path: Path) -> None:
    sweep(tmp_path, "multirun-12345678", "done", "done", "interrupted", "waiting")
    run(tmp_path, "20261126-031404-map-x-aaaaaa", "metric=map", "seed=1", "tracking=none", "output_root=here")
    run(
        tmp_path,
        "20261127-020101-uniform-x-bbbbbb",
        "metric=uniform",
        "seed=1",
        "tracking=none",
        sweep="multirun-12345678",
    )
    failed = {"state": "failed", "reason": "no room", "headline": None, "page": False}
    run(tmp_path, "20261125-235959-map-x-cccccc", "metric=map", "seed=1", "tracking=none", "alpha=2", **failed)
    of_sweep, *of_runs = rows(index(tmp_path))
    settings = 'metric=map,uniform dataset.path="my pairs" seed=0,1'
    assert [*of_sweep[:3], of_sweep[4]] == [
        "multirun-12345678 record",
        LINE,
        settings,
        "1 waiting, 2 done, 1 interrupted",
    ]
    assert of_runs == [
        ["uniform-x-bbbbbb record", WON, "metric=uniform", "2026-11-27 02:01", "done", "multirun-12345678"],
        ["map-x-aaaaaa record", WON, "metric=map", "2026-11-26 03:14", "done", ""],
        ["map-x-cccccc record", "no room", "metric=map alpha=2", "2026-11-25 23:59", "failed", ""],
    ]


def test_links_are_relative_and_lead_somewhere_also_after_the_folder_was_moved(tmp_path: Path) -> None:
    root = tmp_path / "outputs"
    sweep(root, "my sweep #1 100%-12345678", "done")
    run(root, "20261126-031404-map-x-aaaaaa")
    run(root, "20261126-031405-map-x-bbbbbb", page=False)
    page = index(root)
    root.rename(tmp_path / "moved")
    links = re.findall(r'<a (?:class="quiet" )?href="(.*?)"', page)
    assert len(links) == 5  # a run without a page has a record
    assert all((tmp_path / "moved" / unquote(html.unescape(link))).exists() for link in links)
    assert not [link for link in links if ":" in link or link.startswith("/")]


def test_damaged_records_are_named_and_the_others_stand(tmp_path: Path) -> None:
    run(tmp_path, "20261126-031404-map-x-aaaaaa")
    (run(tmp_path, "20261126-031405-map-x-bbbbbb") / "result.json").write_text("{")
    changed = run(tmp_path, "20261126-031406-map-x-cccccc") / "result.json"
    changed.write_text(changed.read_text().replace("done", "gone"))
    (run(tmp_path, "20261126-031407-map-x-dddddd") / "result.json").unlink()
    (sweep(tmp_path, "multirun-12345678", "done") / "sweep.json").write_text("[]")
    write_json({"jobs": 3}, sweep(tmp_path, "multirun-abcdefab", "done") / "sweep.json")
    page = index(tmp_path)
    states = {row[0].removesuffix(" record"): row[4] for row in rows(page)}
    assert states == {
        "multirun-12345678": "damaged",
        "multirun-abcdefab": "damaged",
        "map-x-aaaaaa": "done",
        "map-x-bbbbbb": "damaged",
        "map-x-cccccc": "damaged",
        "map-x-dddddd": "unknown",
    }
    assert "4 damaged records:" in page
    assert "runs/20261126-031406-map-x-cccccc/result.json has changed since it was written" in page
    assert str(tmp_path) not in page


def test_texts_are_escaped_and_nothing_is_fetched(tmp_path: Path) -> None:
    run(
        tmp_path,
        "20261126-031404-map-x-aaaaaa",
        "x=<script>alert(1)</script>",
        reason="<img src=x>\x1b[31m",
        state="failed",
    )
    page = index(tmp_path)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)


def test_a_page_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "index.html").mkdir()
    with caplog.at_level(logging.WARNING):
        write_index(tmp_path)
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'index.html'} could not be written, the results stand: ")
    write_index(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_a_thousand_runs_take_less_than_a_second_of_the_processor(tmp_path: Path) -> None:
    first = run(tmp_path, "20261126-000000-map-x-aaaaaa", *(f"setting{number}=1" for number in range(8)))
    for number in range(1, 1000):
        shutil.copytree(first, tmp_path / "runs" / f"20261126-{number:06d}-map-x-{number:06d}")
    begun = time.process_time()
    page = index(tmp_path)
    assert time.process_time() - begun < 1
    assert len(rows(page)) == 1000
