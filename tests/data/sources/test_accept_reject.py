"""FLR's benchmarks: two aligned files, what does not align, and conversations that have no response."""

import json
from pathlib import Path
from typing import Any

import pytest

from apm_exp.data.sources.accept_reject import accept_reject, files, first_rows

GOOD = [["Hi", "Hello!"], {"conversation": ["Hi", "Yes?", "2 + 2?", "4"], "id": 7}]
BAD = [["Hi", "Go away."], {"conversation": ["Hi", "Yes?", "2 + 2?", "5"], "id": 7}]


def written(folder: Path, accept: Any = GOOD, reject: Any = BAD, bench: str = "shp") -> str:
    for name, rows in (("accept", accept), ("reject", reject)):
        if rows is not None:
            (folder / f"{bench}_{name}.json").write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return str(folder / "*.json")


def test_rows(tmp_path: Path) -> None:
    pattern = written(tmp_path)
    rows = list(accept_reject(path=pattern))
    assert rows[1].row == {
        "pair_id": "shp-2",
        "prompt": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "2 + 2?"},
        ],
        "chosen": [{"role": "assistant", "content": "4"}],
        "rejected": [{"role": "assistant", "content": "5"}],
    }
    assert rows[0].row is not None
    assert rows[0].row["prompt"] == [{"role": "user", "content": "Hi"}]
    assert rows[1].source == f"{tmp_path}/shp_accept.json:2"
    written(tmp_path, bench="alpaca_farm")
    assert [row.row["pair_id"] for row in accept_reject(path=pattern) if row.row] == [
        *("alpaca_farm-1", "alpaca_farm-2", "shp-1", "shp-2")
    ]
    assert len(list(first_rows(1, path=pattern))) == 2
    assert len(files(path=[f"{tmp_path}/shp_accept.json", f"{tmp_path}/shp_reject.json"])) == 2


def test_rows_without_a_response(tmp_path: Path) -> None:
    pattern = written(tmp_path, [["Hi"], 7, []], [["Hi"], 7, []])
    problems = [str(row.problem) for row in accept_reject(path=pattern)]
    assert problems[0] == "no response: 1 texts, the user's first, so the last is the user's"
    assert [problem.partition(":")[0] for problem in problems[1:]] == ["not a conversation"] * 2


@pytest.mark.parametrize(
    ("accept", "reject", "problem"),
    [
        (
            GOOD,
            BAD[:1],
            r"shp_accept\.json: has 2 conversations and shp_reject\.json 1; give two files that are",
        ),
        (GOOD, BAD[::-1], r"shp_accept\.json: conversation 1 and that of shp_reject\.json differ before .* same order"),
        (GOOD, None, r"\*\.json: \S*shp_reject\.json is not given; give both files of a benchmark"),
        (None, BAD, r"\*\.json: \S*shp_reject\.json has no accepted conversations of the name \*_accept\.json; give"),
        (None, None, r"\*\.json: no such file; give both files"),
        ("[", BAD, r"shp_accept\.json: cannot be read as JSON \(.*\); correct the file"),
        ("{}", BAD, r"shp_accept\.json: is no JSON list; give a list of conversations"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, accept: Any, reject: Any, problem: str) -> None:
    pattern = written(tmp_path, accept, reject)
    for read in (lambda: list(accept_reject(path=pattern)), lambda: list(first_rows(1, path=pattern))):
        with pytest.raises(ValueError, match=rf"^dataset\.path=\S*{problem}"):
            read()
