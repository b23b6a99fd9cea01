"""An export is there whole or not at all, and nothing but an export is ever replaced."""

import json

import pytest

from apm_exp.report.export.atomic_folder import place


def write(content):
    def into(folder):
        (folder / "data").mkdir()
        (folder / "data" / "rows").write_text(content)

    return into


def put(root, content="one", run="a", overwrite=False):
    return place(root / "target", {"run": run}, write(content), root=root, overwrite=overwrite)


def rows(root):
    return (root / "target" / "data" / "rows").read_text()


def test_the_same_is_written_once_and_another_only_where_it_is_asked_for(tmp_path):
    assert put(tmp_path)
    assert not put(tmp_path, content="never written")
    assert rows(tmp_path) == "one"
    with pytest.raises(
        ValueError, match=r"export\.path=\S+: contains another export, of run a; .*export\.overwrite=true"
    ):
        put(tmp_path, content="two", run="b")
    assert put(tmp_path, content="two", run="b", overwrite=True)
    assert rows(tmp_path) == "two"
    assert {path.name for path in tmp_path.iterdir()} == {"target", ".locks"}


def test_one_that_was_changed_is_not_the_same(tmp_path):
    put(tmp_path)
    (tmp_path / "target" / "data" / "rows").write_text("1")
    with pytest.raises(ValueError, match="contains this export, but data/rows has changed"):
        put(tmp_path)
    assert put(tmp_path, overwrite=True)
    assert rows(tmp_path) == "one"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_export_stays(tmp_path, overwrite):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"export\.path=\S+: exists and is not an export"):
        put(tmp_path, overwrite=overwrite)
    assert (tmp_path / "target" / "thesis.tex").read_text() == "mine"


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "target").mkdir()
    assert put(tmp_path)
    assert json.loads((tmp_path / "target" / "apm_exp.json").read_text())["made_from"] == {"run": "a"}


@pytest.mark.parametrize("before", [False, True])
def test_what_goes_wrong_leaves_what_was_there(tmp_path, before):
    if before:
        put(tmp_path)

    def fail(folder):
        write("half")(folder)
        raise OSError("disk full")

    (tmp_path / ".target.partial" / "left").mkdir(parents=True)  # by one that was killed
    with pytest.raises(OSError, match="disk full"):
        place(tmp_path / "target", {"run": "b"}, fail, root=tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {".locks", *(["target"] if before else [])}
    assert not before or rows(tmp_path) == "one"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"^export\.path=\S+: cannot be written \(\w.*\); set export\.path to a writable folder"
    ):
        place(tmp_path / "file" / "target", {"run": "a"}, write("one"), root=tmp_path, overwrite=False)
