import pytest

from apm_exp.training.callbacks.consumption import Consumption


def test_counts_pairs_and_names_the_current_step():
    consumption = Consumption(["a", "b", "c"])
    consumption.take([2, 0])
    consumption.take([1])
    assert consumption.enter([0]) == consumption.forward_ids == ["a"]
    assert consumption.step_ids == ["c", "a", "b"]
    assert consumption.total == 3
    consumption.assert_exact(1)


@pytest.mark.parametrize("taken", [[0, 1], [0, 1, 2, 2]])
def test_a_pair_that_is_left_out_or_repeated_is_an_error(taken):
    consumption = Consumption(["a", "b", "c"])
    consumption.take(taken)
    with pytest.raises(AssertionError, match=r"c (0|2) times"):
        consumption.assert_exact(1)


def test_a_cut_training_uses_pairs_equally_often_give_or_take_one():
    consumption = Consumption(["a", "b", "c"])
    consumption.take([0, 1])
    consumption.assert_exact(None)
    consumption.take([0])
    with pytest.raises(AssertionError, match="a 2 times"):
        consumption.assert_exact(None)


def test_goes_on_from_a_checkpoint(tmp_path):
    before, after = Consumption(["a", "b"]), Consumption(["a", "b"])
    before.take([1, 1])
    before.save(tmp_path)
    after.load(tmp_path)
    assert after.times_P.tolist() == [0, 2]
