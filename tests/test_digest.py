"""Digests are remembered, and it can be told beforehand whether they are."""

from pathlib import Path

from apm_exp.digest import FileDigests


def test_what_is_known_takes_no_reading(tmp_path: Path) -> None:
    weights = tmp_path / "model"
    weights.mkdir()
    (weights / "a").write_text("1")
    (weights / "b").write_text("2")
    digests = FileDigests(tmp_path / "digests.json")
    assert not digests.knows(weights)
    digests.of_file(weights / "a")
    assert digests.knows(weights / "a")
    assert not digests.knows(weights)
    digests.of_path(weights)
    digests.save()
    again = FileDigests(tmp_path / "digests.json")
    assert again.knows(weights)
    (weights / "b").write_text("20")
    assert not again.knows(weights)
