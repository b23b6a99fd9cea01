import pyarrow as pa
import pytest

from apm_exp.data.rewards.recorded import recorded


def table(rewards):
    return pa.table({"recorded_rewards": pa.array(rewards, pa.list_(pa.float64()))})


def test_gives_what_was_recorded():
    assert recorded(table([[1.0, 2.5], [0.0, -1.0, 3.0]])) == [[1.0, 2.5], [0.0, -1.0, 3.0]]
    assert recorded(table([])) == []


def test_a_row_without_rewards_has_none():
    assert recorded(table([[1.0], None, [2.0, 3.0]])) == [[1.0], None, [2.0, 3.0]]


def test_no_rewards_at_all_are_an_error_that_names_the_sources():
    with pytest.raises(ValueError, match=r"^reward=recorded: none of 3 rows has rewards; .*\(reward=.*classifier.*\)"):
        recorded(table([None, None, None]))
