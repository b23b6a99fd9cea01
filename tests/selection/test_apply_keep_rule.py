"""The out-of-core path from Parquet to Parquet, against a few lines of NumPy over everything at once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apm_exp.core import component
from apm_exp.core import sorted_parquet as ordered_parquet
from apm_exp.selection.apply_keep_rule import keep_rows
from apm_exp.selection.keep import ranking

TOP_K, TOP_FRACTION = "apm_exp.selection.keep.top_k.top_k", "apm_exp.selection.keep.top_fraction.top_fraction"
THRESHOLD = "apm_exp.selection.keep.threshold.threshold"


def write_scored(folder, values, row_group=None):
    """scored.parquet with the pair_ids p0000, p0001, ..., a column that is passed through, and these values."""
    columns = {
        "pair_id": [f"p{row:04}" for row in range(len(values))],
        "explicit_margin": np.arange(len(values)) / 4,
        "value": np.asarray(values, float),
    }
    pq.write_table(pa.table(columns), folder / "scored.parquet", row_group_size=row_group)
    return folder / "scored.parquet"


def in_memory(values, node):
    """The kept rows, by sorting: highest value first, ties by row, which is the order of pair_id."""
    order = sorted(range(len(values)), key=lambda row: (-values[row], row))
    if node["_target_"] == THRESHOLD:
        return {row for row in order if values[row] >= node["minimum"]}
    count = node["k"] if "k" in node else int(node["fraction"] * 1000) * len(values) // 1000
    return set(order[:count])


def nodes(pairs):
    """Every rule, with settings at the ends and between."""
    counts = st.sampled_from([1, pairs]) | st.integers(1, pairs)
    fractions = st.integers(1, 8).map(lambda eighth: eighth / 8).filter(lambda fraction: fraction * pairs >= 1)
    return (
        st.builds(lambda k: {"_target_": TOP_K, "k": k}, counts)
        | st.builds(lambda fraction: {"_target_": TOP_FRACTION, "fraction": fraction}, fractions)
        | st.builds(
            lambda minimum: {"_target_": THRESHOLD, "minimum": minimum}, st.integers(-6, 6).map(lambda n: n / 2)
        )
    )


some_values = st.lists(st.integers(-2, 2).map(float) | st.floats(allow_nan=False, width=32), min_size=1, max_size=60)


@settings(deadline=None)
@given(st.data(), some_values, st.integers(1, 70), st.integers(1, 70), st.sampled_from([(2, 0), (4, 1), (2**18, 2560)]))
def test_equals_sorting_everything_in_memory(tmp_path_factory, data, values, row_group, at_once, sample):
    node = data.draw(nodes(len(values)))
    expected = in_memory(values, node)
    folder = tmp_path_factory.mktemp("keep")
    scored, out = write_scored(folder, values, row_group), folder / "out.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered_parquet, "ROWS_AT_ONCE", at_once)
        patch.setattr(ranking, "_SAMPLE", sample[0])
        patch.setattr(ranking, "_SPREAD", sample[1])
        if not expected:
            with pytest.raises(ValueError, match="would keep 0 of"):
                keep_rows(scored, out, node)
            return
        found = keep_rows(scored, out, node)
    assert set(np.flatnonzero(pq.read_table(out)["kept"])) == expected
    assert (found.pairs, found.kept) == (len(values), len(expected))
    assert found.cut == min(values[row] for row in expected)
    assert pq.read_table(out).drop_columns("kept").equals(pq.read_table(scored))
    assert pq.read_table(out).column_names[-1] == "kept"


def test_more_than_there_are_is_refused_and_nothing_written(tmp_path):
    scored = write_scored(tmp_path, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"keep\.k=3: there are only 2 pairs"):
        keep_rows(scored, tmp_path / "out.parquet", {"_target_": TOP_K, "k": 3})
    assert list(tmp_path.iterdir()) == [scored]


def test_a_value_that_is_nan_is_refused_with_its_pair_id(tmp_path):
    scored = write_scored(tmp_path, [1.0, 2.0, np.nan, 4.0], row_group=2)
    with pytest.raises(ValueError, match=r"NaN for 1 of 4 pairs \(pair_id p0002\)"):
        keep_rows(scored, tmp_path / "out.parquet", {"_target_": TOP_K, "k": 1})


RULES_OF_A_USER = """
import numpy as np

def without_p0001(value_P, pair_id_P):
    return np.array([name != "p0001" for name in pair_id_P])

def by_sorted_names(value_P, pair_id_P):
    return np.asarray(pair_id_P) > "p0001"

def too_few(value_P, pair_id_P):
    return np.ones(2, bool)

def counts(value_P, pair_id_P):
    return np.ones(len(value_P), int)

def none(value_P, pair_id_P):
    return value_P > np.inf
"""


@pytest.fixture
def users_rule(tmp_path, monkeypatch):
    (tmp_path / "rules_of_a_user.py").write_text(RULES_OF_A_USER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "rules_of_a_user"})
    scored = write_scored(tmp_path, [4.0, 3.0, 2.0])
    return lambda name: keep_rows(scored, tmp_path / "out.parquet", {"_target_": f"rules_of_a_user.{name}"})


@pytest.mark.parametrize(("name", "kept"), [("without_p0001", [True, False, True]), ("by_sorted_names", [0, 0, 1])])
def test_a_rule_may_look_at_the_pair_ids(users_rule, tmp_path, name, kept):
    users_rule(name)
    assert pq.read_table(tmp_path / "out.parquet")["kept"].to_pylist() == kept


@pytest.mark.parametrize(
    ("name", "problem"),
    [("too_few", "bool of shape"), ("counts", "int64 of shape"), ("none", "keeps none of the 3 pairs")],
)
def test_a_rule_with_a_wrong_result_is_named(users_rule, name, problem):
    with pytest.raises(ValueError, match=rf"keep\._target_=rules_of_a_user\.{name}: .*{problem}"):
        users_rule(name)
