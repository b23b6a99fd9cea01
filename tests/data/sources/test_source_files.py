import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.data.sources.count import count_rows
from apm_exp.data.sources.jsonl import jsonl
from apm_exp.data.sources.source_files import files_of
from tests.data.sources.sources import write_lines


def test_a_pattern_is_sorted_and_a_list_keeps_its_order_and_names_each_file_once(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c.parquet"):
        (tmp_path / name).touch()
    found = files_of([f"{tmp_path}/c.parquet", f"{tmp_path}/*.jsonl", f"{tmp_path}/a.jsonl"])
    assert [file.name for file in found] == ["c.parquet", "a.jsonl", "b.jsonl"]


def test_a_name_that_looks_like_a_pattern_is_taken_literally_where_it_exists(tmp_path):
    file = tmp_path / "run[1].jsonl"
    file.touch()
    assert files_of(str(file)) == [file]


def test_capital_suffixes_are_the_same(tmp_path):
    write_lines(tmp_path / "A.JSONL", [{"n": 1}, {"n": 2}])
    pq.write_table(pa.table({"n": [3]}), tmp_path / "B.Parquet")
    paths = [f"{tmp_path}/A.JSONL", f"{tmp_path}/*.P*"]
    assert [row.row for row in jsonl(path=paths)] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert count_rows({"_target_": "apm_exp.data.sources.jsonl.jsonl", "path": paths, "limit": None}) == 3


def test_files_of_all_kinds_are_read_one_after_the_other(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"n": 1}, {"n": 2}])
    pq.write_table(pa.table({"n": [3]}), tmp_path / "b.parquet")
    rows = list(jsonl(path=[f"{tmp_path}/a.jsonl", f"{tmp_path}/b.parquet"]))
    assert [row.row for row in rows] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [row.source for row in rows] == [
        f"{tmp_path}/a.jsonl:1",
        f"{tmp_path}/a.jsonl:2",
        f"{tmp_path}/b.parquet:1",
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.jsonl", "no such file; relative paths are relative to"),
        ("missing*.jsonl", "no file matches; relative patterns are relative to"),
        ("", "is a folder; name its files, such as"),
        ("rows.json", "cannot tell its format; rename or convert it to one of .jsonl, .jsonl.gz, .parquet"),
        ("dangling.jsonl", "no such file"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(tmp_path, name, problem):
    (tmp_path / "rows.json").touch()
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    path = f"{tmp_path}/{name}" if name else str(tmp_path)
    with pytest.raises(ValueError, match=r"^dataset\.path=") as caught:
        jsonl(path=path)
    assert str(caught.value).startswith(f"dataset.path={path}: {problem}")


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    file = tmp_path / "rows.jsonl"
    file.touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"rows\.jsonl: cannot be read \(permission denied\)"):
        jsonl(path=str(file))


def test_an_empty_list_names_no_file():
    with pytest.raises(ValueError, match=r"dataset\.path=\[\]: the list is empty"):
        jsonl(path=[])
