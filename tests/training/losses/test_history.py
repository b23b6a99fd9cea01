import pytest
import torch

from apm_exp.training.losses.history import History


def test_exponential_average_by_hand():
    history = History()
    values = [history.exponential("x", value, decay=0.5, bias_corrected=True) for value in (4.0, 1.0)]
    assert values == [4.0, pytest.approx((0.5 * 4 + 1) / 1.5)]
    assert history.exponential("y", 4.0, decay=0.5, bias_corrected=False) == 2.0


def test_frozen_history_changes_nothing():
    history = History(frozen=True)
    assert history.exponential("x", 3.0, decay=0.9, bias_corrected=True) == 3.0
    assert history.mean("y", torch.tensor([1.0, 2.0])) == 1.5
    assert history.count_forward() == history.count_forward() == 0
    assert history.averages == {}


def test_a_checkpoint_keeps_it_exactly(tmp_path):
    history, other = History(), History()
    history.exponential("x", 1 / 3, decay=0.9, bias_corrected=True)
    history.mean("y", torch.tensor([0.1, 0.2]))
    history.count_forward()
    history.save(tmp_path)
    other.load(tmp_path)
    assert (other.averages, other.forwards) == (history.averages, history.forwards)
