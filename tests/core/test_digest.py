"""Digests are remembered for what is certainly unchanged, and it can be told beforehand whether they are."""

import json
import os
import time
from pathlib import Path

import pytest

from apm_exp.core.digest import FileDigests

LONG_AGO = 1_700_000_000


@pytest.fixture
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is past the time in which a change may go unseen."""
    now = time.time
    monkeypatch.setattr("apm_exp.core.digest.time.time", lambda: now() + 3)


def digests(tmp_path: Path) -> FileDigests:
    return FileDigests(tmp_path / "digests.json")


@pytest.mark.usefixtures("_later")
def test_what_is_known_takes_no_reading(tmp_path: Path) -> None:
    weights = tmp_path / "model"
    weights.mkdir()
    (weights / "a").write_text("1")
    (weights / "b").write_text("2")
    first = digests(tmp_path)
    assert not first.knows(weights)
    first.of_file(weights / "a")
    assert first.knows(weights / "a")
    assert not first.knows(weights)
    first.of_path(weights)
    first.save()
    again = digests(tmp_path)
    assert again.knows(weights)
    (weights / "b").write_text("20")
    assert not again.knows(weights)


@pytest.mark.usefixtures("_later")
def test_other_content_of_the_same_size_and_time_is_not_taken_for_the_old(tmp_path: Path) -> None:
    weights, known = tmp_path / "weights", digests(tmp_path)
    weights.write_text("old")
    os.utime(weights, (LONG_AGO, LONG_AGO))
    old = known.of_file(weights)
    weights.write_text("new")
    os.utime(weights, (LONG_AGO, LONG_AGO))
    assert known.of_file(weights) != old
    (tmp_path / "other").write_text("old")
    os.utime(tmp_path / "other", (LONG_AGO, LONG_AGO))
    os.replace(tmp_path / "other", weights)
    assert known.of_file(weights) == old


def test_a_file_that_has_just_changed_is_read_again(tmp_path: Path) -> None:
    weights, known = tmp_path / "weights", digests(tmp_path)
    weights.write_text("old")
    os.utime(weights, (LONG_AGO, LONG_AGO))  # only its change time is new
    known.of_file(weights)
    assert not known.knows(weights)


@pytest.mark.usefixtures("_later")
@pytest.mark.parametrize("memory", ["", "[]", "{", '{"/a|1|2": "0123"}', '{"/a": ["0123"]}', "null"])
def test_a_memory_that_is_damaged_or_of_an_earlier_form_is_an_empty_one(tmp_path: Path, memory: str) -> None:
    (tmp_path / "digests.json").write_text(memory)
    known = digests(tmp_path)
    assert known.known == {}
    known.of_file(tmp_path / "digests.json")
    known.save()
    assert list(json.loads((tmp_path / "digests.json").read_text())) == [str(tmp_path / "digests.json"), "sha256"]


@pytest.mark.usefixtures("_later")
def test_a_changed_digit_of_the_memory_is_not_believed(tmp_path: Path) -> None:
    weights, known = tmp_path / "weights", digests(tmp_path)
    weights.write_text("old")
    true = known.of_file(weights)
    known.save()
    memory = tmp_path / "digests.json"
    memory.write_text(memory.read_text().replace(true, true[:-1] + ("0" if true[-1] != "0" else "1")))
    assert digests(tmp_path).of_file(weights) == true


@pytest.mark.usefixtures("_later")
def test_a_memory_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "digests.json").mkdir()
    (tmp_path / "weights").write_text("old")
    known = digests(tmp_path)
    known.of_file(tmp_path / "weights")
    known.save()
    assert "cannot be written" in caplog.text


def test_what_runs_write_into_a_model_s_folder_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "outputs" / "pairs").mkdir(parents=True)
    (tmp_path / "config.json").write_text("{}")
    known = FileDigests(tmp_path / "outputs" / ".digests.json")
    before = known.of_path(tmp_path)
    (tmp_path / "outputs" / "pairs" / "done").write_text("{}")
    assert known.of_path(tmp_path) == before
