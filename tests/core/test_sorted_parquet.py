import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apm_exp.core import sorted_parquet as ordered_parquet
from apm_exp.core.sorted_parquet import Beside, ordered_tables, read_column, rows_of_split, write_tables
from apm_exp.core.split import Split

NAMES = st.sets(st.text("abü\U0001f600", min_size=1, max_size=3), min_size=1)


def write(path, names, **columns):
    pq.write_table(pa.table({"pair_id": names} | columns), path, row_group_size=3)
    return path


@settings(deadline=None)
@given(everything=NAMES, part=st.randoms(use_true_random=False), at_once=st.integers(1, 9), asked=st.integers(1, 9))
def test_rows_beside_are_those_asked_for(tmp_path_factory, everything, part, at_once, asked):
    names = sorted(everything)
    path = write(tmp_path_factory.mktemp("beside") / "more.parquet", names, number=range(len(names)))
    some = [name for name in names if part.random() < 0.6]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered_parquet, "ROWS_AT_ONCE", at_once)
        beside = Beside(path, ["pair_id", "number"])
        for start in range(0, len(some), asked):
            wanted = some[start : start + asked]
            rows = beside.rows(pa.chunked_array([wanted]))
            assert rows.to_pydict() == {"pair_id": wanted, "number": [names.index(name) for name in wanted]}


@pytest.mark.parametrize("missing", ["A", "bb", "z"])
def test_a_row_that_is_not_there_is_a_defect(tmp_path, missing):
    beside = Beside(write(tmp_path / "more.parquet", ["a", "b", "c"]), ["pair_id"])
    with pytest.raises(AssertionError, match=r"more\.parquet lacks pairs"):
        beside.rows(pa.chunked_array([["b", missing]]))


@pytest.mark.parametrize("at_once", [1, 2, 10])
@pytest.mark.parametrize("names", [["a", "c", "b"], ["a", "b", "b"], ["b", "a"]])
def test_rows_out_of_order_or_twice_are_a_defect(tmp_path, monkeypatch, names, at_once):
    monkeypatch.setattr(ordered_parquet, "ROWS_AT_ONCE", at_once)
    path = write(tmp_path / "rows.parquet", names)
    with pytest.raises(AssertionError, match=r"rows\.parquet: .* order of pair_id"):
        list(ordered_tables(path))


def test_only_the_rows_of_a_split(tmp_path):
    path = write(tmp_path / "rows.parquet", list("abcde"), holdout_rank=[2, 1, -1, 0, 3], number=range(5))
    tables = list(ordered_tables(path, ["pair_id", "number"], Split(2)))
    assert pa.concat_tables(tables).select(["pair_id", "number"]).to_pydict() == {
        "pair_id": ["a", "e"],
        "number": [0, 4],
    }
    assert [rows_of_split(path, Split(prompts, held_out=True)) for prompts in (0, 1, 2)] == [1, 2, 3]


def test_a_column_is_numbers_whatever_its_type(tmp_path):
    path = write(tmp_path / "rows.parquet", list("abcd"), kept=[True, False, True, True], none=[None, 1, None, 2])
    assert read_column(path, "kept").tolist() == [1, 0, 1, 1]
    np.testing.assert_array_equal(read_column(path, "none"), [np.nan, 1, np.nan, 2])


def test_an_error_while_a_table_is_made_leaves_no_file(tmp_path):
    def tables():
        yield pa.table({"pair_id": ["a"]})
        raise ValueError("the second")

    with pytest.raises(ValueError, match="the second"):
        write_tables(tables(), tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []
