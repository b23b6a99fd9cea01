"""keep=ids keeps what a file names: no more, no less, whatever the values."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core import sorted_parquet as ordered_parquet
from apm_exp.core.pair_ids import PairIds
from apm_exp.core.split import Split
from apm_exp.selection.keep.ids import ids, kept_count
from apm_exp.selection.keep.preflight import check_keep

PAIRS = ["a1", "b2", "c3", "d4", "é5"]


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)


def text(path, names):
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def kept(path, pairs=PAIRS, missing="error"):
    values = np.full(len(pairs), np.nan)  # they have no say
    return [pairs[row] for row in np.flatnonzero(ids(values, np.array(pairs), path=str(path), missing=missing))]


def test_every_kind_of_file_names_the_same_pairs(tmp_path):
    wanted = ["é5", "b2", "d4"]
    parquet(tmp_path / "a.parquet", pair_id=wanted, value=[1.0, 2.0, 3.0])
    lines = "".join(json.dumps({"value": 1, "pair_id": name}, ensure_ascii=False) + "\n" for name in wanted)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.txt").write_text("\ufeffé5\n\n  b2\nd4")
    parquet(tmp_path / "selection.parquet", pair_id=PAIRS, kept=[name in wanted for name in PAIRS])
    (tmp_path / "exported" / "data").mkdir(parents=True)
    parquet(tmp_path / "exported" / "data" / "train-00000-of-00002.parquet", pair_id=wanted[:1])
    parquet(tmp_path / "exported" / "data" / "train-00001-of-00002.parquet", pair_id=wanted[1:])
    parquet(tmp_path / "exported" / "data" / "test-00000-of-00001.parquet", pair_id=["a1"])  # held out: never kept
    for name in ("a.parquet", "a.jsonl", "a.jsonl.gz", "a.txt", "selection.parquet", "exported"):
        assert kept(tmp_path / name) == ["b2", "d4", "é5"], name
        assert kept_count(str(tmp_path / name)) == 3


@given(st.data(), st.integers(1, 40), st.integers(1, 12))
def test_from_a_file_in_parts_it_is_the_set_that_is_named(tmp_path_factory, data, count, at_once):
    pairs = sorted(f"p{number}" for number in range(count))
    wanted = data.draw(st.sets(st.sampled_from(pairs), min_size=1))
    folder = tmp_path_factory.mktemp("ids")
    parquet(folder / "pairs.parquet", pair_id=pairs)
    path = text(folder / "named.txt", data.draw(st.permutations(sorted(wanted))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered_parquet, "ROWS_AT_ONCE", at_once)
        found = ids(np.zeros(count), PairIds(folder / "pairs.parquet", count), path=str(path), missing="error")
    assert {pairs[row] for row in np.flatnonzero(found)} == wanted


def test_names_that_are_not_there_are_counted_and_shown(tmp_path, caplog):
    path = text(tmp_path / "ids.txt", ["b2", "x9", "x8"])
    problem = r"2 of 3 pairs are not among the training pairs \(pair_id x8, x9\)"
    with pytest.raises(ValueError, match=rf"^keep\.path=\S+: {problem}; use the dataset.*keep\.missing=ignore$"):
        kept(path)
    assert kept(path, missing="ignore") == ["b2"]
    assert "2 of 3 pairs are not among" in caplog.text
    with pytest.raises(ValueError, match="2 of 2 pairs are not among"):
        kept(text(tmp_path / "others.txt", ["x9", "x8"]), missing="ignore")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a1\nb2\na1\n", r"lists 1 pairs more than once \(pair_id a1\)"),
        ("\n \n", "lists no pair"),
        (b"\xff\xfe\xfa", "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path, content, problem):
    path = tmp_path / "ids.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"^keep\.path=\S+ids\.txt: {problem}") as error:
        kept(path)
    assert "\n" not in str(error.value)


def test_what_cannot_be_a_list_of_ids_is_named(tmp_path):
    parquet(tmp_path / "a.parquet", identifier=["a1"])
    (tmp_path / "a.jsonl").write_text('{"id": "a1"}\n')
    parquet(tmp_path / "null.parquet", pair_id=["a1", None])
    (tmp_path / "empty").mkdir()
    problems = {
        "a.parquet": "its columns are identifier",
        "a.jsonl": "KeyError: 'pair_id'",
        "null.parquet": "has a pair_id that is null",
        "empty": "this folder has no data/train-",
        "nowhere": "no such file",
    }
    for name, problem in problems.items():
        with pytest.raises(ValueError, match=problem):
            kept(tmp_path / name)


def test_before_there_are_pairs_the_file_is_checked_and_then_the_names(tmp_path):
    node = {"_target_": "apm_exp.selection.keep.ids.ids", "missing": "error"}
    good = node | {"path": str(text(tmp_path / "ids.txt", ["b2", "d4"]))}
    check_keep(good, None)
    check_keep(good, 5)
    with pytest.raises(ValueError, match="lists 2 pairs, and there are only 1"):
        check_keep(good, 1)
    with pytest.raises(ValueError, match=r"keep\.path=nowhere: no such file"):
        check_keep(node | {"path": "nowhere"}, None)
    parquet(tmp_path / "pairs.parquet", pair_id=["a1", "b2"], holdout_rank=[0, 1])
    with pytest.raises(ValueError, match=r"1 of 2 pairs are not among the training pairs \(pair_id d4\)"):
        check_keep(good, 2, PairIds(tmp_path / "pairs.parquet", 2, Split(0)))
