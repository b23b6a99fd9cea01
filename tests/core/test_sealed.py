import json

import pytest

from apm_exp.core.sealed import Damaged, read_sealed, write_sealed

RECORD = {"state": "done", "seconds": 1.5, "scores": {"win rate": {"value": 0.25, "n": 40}}, "reason": None}


def test_a_record_comes_back_as_it_was_written(tmp_path):
    write_sealed(RECORD, tmp_path / "0.json")
    assert read_sealed(tmp_path / "0.json", "state") == RECORD


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: text[:40],
        lambda text: text.replace("0.25", "0.35"),
        lambda text: text.replace('"seconds": 1.5', '"seconds": 2.5'),
        lambda text: text.replace("done", "d\0ne"),
        lambda text: json.dumps({name: value for name, value in json.loads(text).items() if name != "state"}),
    ],
)
def test_damage_is_found(tmp_path, damage):
    path = tmp_path / "0.json"
    write_sealed(RECORD, path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(Damaged, match=r"0\.json"):
        read_sealed(path, "state")


def test_a_record_that_is_no_text_is_damaged(tmp_path):
    (tmp_path / "0.json").write_bytes(b"\xff\xfe")
    with pytest.raises(Damaged):
        read_sealed(tmp_path / "0.json")
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "1.json")


def test_a_record_of_an_earlier_version_has_no_seal(tmp_path):
    (tmp_path / "0.json").write_text('{"state": "done"}')
    assert read_sealed(tmp_path / "0.json", "state") == {"state": "done"}
