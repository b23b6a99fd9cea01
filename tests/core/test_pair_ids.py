import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.pair_ids import PairIds
from apm_exp.core.split import Split


@pytest.fixture
def names(tmp_path):
    """Three of four rows are not held out, in two row groups."""
    table = pa.table({"pair_id": ["a", "b", "c", "d"], "holdout_rank": [1, 0, 2, 1]})
    pq.write_table(table, tmp_path / "logps.parquet", row_group_size=2)
    return PairIds(tmp_path / "logps.parquet", 3, Split(1))


def test_it_is_like_an_array(names):
    assert (len(names), list(names), np.asarray(names).tolist()) == (3, ["a", "c", "d"], ["a", "c", "d"])
    assert np.asarray(names, np.dtypes.StringDType()).dtype == np.dtypes.StringDType()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([2, 0, 2]), ["d", "a", "d"]),
        (np.array([], int), []),
        (np.array([-1]), ["d"]),
        (np.array([True, False, True]), ["a", "d"]),
        (slice(1, None), ["c", "d"]),
    ],
)
def test_any_index_of_an_array_is_an_index(names, rows, expected):
    assert names[rows].tolist() == expected


def test_an_index_that_is_out_of_range_is_refused(names):
    with pytest.raises(IndexError):
        names[np.array([3])]
