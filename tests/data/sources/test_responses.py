import math

import pytest

from apm_exp.data.sources.responses import responses_of
from apm_exp.data.sources.rows import BadRow
from apm_exp.data.sources.schemas import Recognizer


def responses(row, chosen="good", rejected="bad", named=(None, None)):
    return responses_of(row, Recognizer("dataset", *named).columns({"chosen", "rejected", *row}), chosen, rejected)


def several(scores, texts=("fair", "bad", "good")):
    return {"all_generated_responses": list(texts), "all_rm_scores": scores}


def test_the_answers_are_found_among_all_responses():
    found = responses(several([0.5, -1, 3.0]))
    assert (found.chosen_index, found.rejected_index, found.rewards) == (2, 1, [0.5, -1.0, 3.0])


def test_an_unknown_reward_of_another_response_is_nan():
    rewards = responses(several([None, 1.0, 2.0])).rewards
    assert rewards is not None
    assert math.isnan(rewards[0])
    assert rewards[1:] == [1.0, 2.0]


def test_of_equal_responses_the_extreme_score_decides():
    found = responses(several([1.0, 2.0, 0.0, -3.0], ["good", "good", "bad", "bad"]))
    assert (found.chosen_index, found.rejected_index) == (1, 3)


def test_without_other_responses_there_are_the_two_answers():
    found = responses({"score_chosen": 7, "score_rejected": 2.5})
    assert found.responses == ["good", "bad"]
    assert (found.chosen_index, found.rejected_index, found.rewards) == (0, 1, [7.0, 2.5])


def test_without_reward_columns_there_are_no_rewards():
    assert responses({}).rewards is None
    assert responses({"all_generated_responses": ["bad", "good"]}).rewards is None


def test_columns_that_the_user_names_win_over_scores():
    row = several([9.0, 9.0, 9.0]) | {"w": 2.0, "l": 1.0}
    rewards = responses(row, named=("w", "l")).rewards
    assert rewards is not None
    assert math.isnan(rewards[0])
    assert rewards[1:] == [1.0, 2.0]


@pytest.mark.parametrize(
    "row",
    [
        several(None),
        several([1.0, None, 3.0]),
        several([1.0, None, None]),
        {"chosen_reward": None, "rejected_reward": 1.0},
        {"chosen_reward": 1.0, "rejected_reward": None},
        {"chosen_reward": None, "rejected_reward": None},
    ],
)
def test_a_pair_of_which_a_reward_is_missing_has_none(row):
    assert responses(row).rewards is None


def pair(chosen_reward, rejected_reward=0.0):
    return {"chosen_reward": chosen_reward, "rejected_reward": rejected_reward}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (several([1.0, 2.0]), "length mismatch: 3 responses and 2 scores"),
        (several(3.0), "wrong type: all_rm_scores is of type float, not a list of numbers"),
        (
            several([1.0, "2", 3.0]),
            "wrong type: all_rm_scores[1] is of type str, not a number; write it without quotes",
        ),
        (several([1.0, True, 3.0]), "wrong type: all_rm_scores[1] is of type bool, not a number"),
        (several([math.nan, 2.0, 3.0]), "non-finite reward: all_rm_scores[0] is nan"),
        (several([1.0, 2.0, -math.inf]), "non-finite reward: all_rm_scores[2] is -inf"),
        (several([1.0], ["bad"]), "chosen not among the responses: none of 1 in all_generated_responses equals chosen"),
        (
            several([1.0], ["good"]),
            "rejected not among the responses: none of 1 in all_generated_responses equals rejected",
        ),
        ({"all_generated_responses": None}, "null: all_generated_responses is null"),
        ({"all_generated_responses": "good"}, "wrong type: all_generated_responses is not a list of texts"),
        ({"all_generated_responses": ["good", None]}, "wrong type: all_generated_responses is not a list of texts"),
        (pair(math.nan), "non-finite reward: chosen_reward is nan"),
        (pair(0.0, math.inf), "non-finite reward: rejected_reward is inf"),
        (pair(10**400), "non-finite reward: chosen_reward is inf"),
        (pair("1.0"), "wrong type: chosen_reward is of type str, not a number; write it without quotes"),
    ],
)
def test_rewards_that_cannot_be_used_say_why(row, problem):
    with pytest.raises(BadRow) as caught:
        responses(row)
    assert str(caught.value) == problem
