import pyarrow as pa

from apm_exp.data.rewards.recorded import recorded


def table(rewards):
    return pa.table({"recorded_rewards": pa.array(rewards, pa.list_(pa.float64()))})


def test_gives_what_was_recorded():
    assert recorded(table([[1.0, 2.5], [0.0, -1.0, 3.0]])) == [[1.0, 2.5], [0.0, -1.0, 3.0]]
    assert recorded(table([])) == []


def test_a_row_without_rewards_has_none():
    assert recorded(table([[1.0], None, [2.0, 3.0]])) == [[1.0], None, [2.0, 3.0]]
    assert recorded(table([None, None])) == [None, None]
