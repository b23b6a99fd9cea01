import math

import pytest

from apm_exp.core.results_file import read_results, record

RESULTS = [{"a": [0.1, -2.5]}, {"b \u2028": "\ud83d\n", "c": {"x": 1e-300}}, {"d": math.inf}]


def written(folder, results=RESULTS):
    return list(record(results, dict, folder))


def test_what_was_recorded_is_passed_on_and_read_again(tmp_path):
    folder = tmp_path / "kept"
    assert list(read_results(folder)) == []
    assert written(folder) == RESULTS
    assert list(read_results(folder)) == [item for results in RESULTS for item in results.items()]


def test_an_item_is_on_disk_before_it_is_passed_on(tmp_path):
    for count, _ in enumerate(record(RESULTS, dict, tmp_path), 1):
        assert len(dict(read_results(tmp_path))) == [1, 3, 4][count - 1]


def test_attempts_and_ranks_write_side_by_side_and_the_latest_counts(tmp_path, monkeypatch):
    first = record([{"a": 1}, {"b": 1}], dict, tmp_path)
    next(first)
    monkeypatch.setenv("RANK", "3")
    written(tmp_path, [{"a": 2}, {"c": 2}])
    list(first)
    assert dict(read_results(tmp_path)) == {"a": 2, "b": 1, "c": 2}
    assert [path.name.split("-")[1] for path in sorted(tmp_path.iterdir())] == ["0.jsonl", "3.jsonl"]


@pytest.mark.parametrize(
    "damaged",
    [
        lambda line: line[:9],
        lambda line: line[:-1],  # truncated by the line's end alone
        lambda line: line.replace(b"-2.5", b"-2.6"),
        lambda line: line.replace(b"a", b"\xff", 1),
        lambda line: b"[]\n",
        lambda line: b"\n",
    ],
)
def test_a_damaged_line_is_skipped_with_a_warning_and_the_others_count(tmp_path, caplog, damaged):
    written(tmp_path)
    (path,) = tmp_path.iterdir()
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(others) + damaged(first))
    assert list(read_results(tmp_path, warn=False)) == [item for results in RESULTS[1:] for item in results.items()]
    assert not caplog.messages
    assert len(dict(read_results(tmp_path))) == 3
    assert caplog.messages == [f"{path}: 1 damaged lines; their results are computed again"]
