import numpy as np
import pyarrow as pa
import pytest

from apm_exp.selection.margins import explicit_margin, finite, implicit_margin

NAN = float("nan")


@pytest.fixture
def rewards():
    return pa.table(
        {
            "pair_id": ["a", "b", "c"],
            "chosen_reward": [2.0, 1.0, 3.0],
            "rejected_reward": [0.5, 4.0, 3.0],
            "all_rewards": [[0.5, 2.0, -1.0], [1.0, 4.0], [3.0, NAN, 3.0, 7.0]],
        }
    )


def test_chosen_minus_rejected_is_signed(rewards):
    assert explicit_margin(rewards, margin="chosen_minus_rejected").tolist() == [1.5, -3.0, 0.0]


def test_max_min_is_over_every_response_with_a_reward(rewards):
    assert explicit_margin(rewards, margin="max_min").tolist() == [3.0, 3.0, 4.0]


def test_max_min_of_a_slice_and_of_several_chunks(rewards):
    assert explicit_margin(rewards.slice(1), margin="max_min").tolist() == [3.0, 4.0]
    chunks = pa.concat_tables([rewards.slice(2), rewards.slice(0, 2)])
    assert explicit_margin(chunks, margin="max_min").tolist() == [4.0, 3.0, 3.0]


@pytest.mark.parametrize("missing", [None, []])
def test_max_min_without_a_list_names_the_pair(missing):
    all_rewards = pa.array([[1.0], missing], pa.list_(pa.float64()))
    with pytest.raises(ValueError, match=r"reward.margin=max_min: 1 pairs .*\(pair_id b\)"):
        explicit_margin(pa.table({"pair_id": ["a", "b"], "all_rewards": all_rewards}), margin="max_min")


def test_an_unknown_margin_is_refused(rewards):
    with pytest.raises(ValueError, match=r"reward\.margin=largest"):
        explicit_margin(rewards, margin="largest")


def test_a_null_reward_is_not_a_number():
    rewards = pa.table({"chosen_reward": [1.0, None], "rejected_reward": [0.0, 0.0]})
    margin_P = explicit_margin(rewards, margin="chosen_minus_rejected")
    with pytest.raises(ValueError, match=r"explicit margin is NaN or infinite in 1 of 2 pairs \(pair_id b\)"):
        finite(margin_P, np.array(["a", "b"]), "explicit")


def test_implicit_margin_is_per_token_and_signed():
    logps = pa.table(
        {
            "chosen_logp": [-10.0, -8.9, -6.0],
            "rejected_logp": [-12.0, -3.4, -4.0],
            "chosen_len": pa.array([5, 1, 6], pa.int32()),
            "rejected_len": pa.array([4, 1, 4], pa.int32()),
        }
    )
    assert implicit_margin(logps) == pytest.approx([1.0, -5.5, 0.0])


def test_only_the_first_ids_are_listed():
    with pytest.raises(ValueError, match=r"7 of 7 pairs \(pair_id 0, 1, 2, 3, 4, \.\.\.\); check the weights"):
        finite(np.full(7, np.inf), np.arange(7).astype(str), "implicit")


def test_finite_margins_pass():
    assert finite(np.array([1, -2]), np.array(["a", "b"]), "implicit").tolist() == [1.0, -2.0]
