import pytest

from apm_exp.data.sources.schemas import EXPECTED, Recognizer
from tests.data.sources.sources import simpo_row

WHERE = "dataset.path=rows.jsonl"


def columns(*names, named=(None, None)):
    return Recognizer(WHERE, *named).columns(names)


def test_simpo_schema_takes_its_rewards_from_the_scores():
    found = columns(*simpo_row())
    assert (found.has_responses, found.has_scores, found.has_rewards) == (True, True, True)
    assert found.identifier == "prompt_id"


def test_trl_schema_with_either_pair_of_reward_columns_or_none():
    assert columns("prompt", "chosen", "rejected").has_rewards is False
    for pair in (("chosen_reward", "rejected_reward"), ("score_chosen", "score_rejected")):
        assert columns("prompt", "chosen", "rejected", *pair).reward_pair == pair


def test_transcripts_need_only_the_two_sides():
    found = columns("chosen", "rejected")
    assert (found.has_prompt, found.has_rewards, found.identifier) == (False, False, None)


@pytest.mark.parametrize(
    ("names", "identifier"),
    [(("prompt_id", "id", "pair_id"), "pair_id"), (("prompt_id", "id"), "id"), (("prompt_id",), "prompt_id")],
)
def test_the_most_specific_id_column_is_used(names, identifier):
    assert columns("chosen", "rejected", *names).identifier == identifier


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("completion", "label", "prompt"),
            "completion, label, prompt without chosen, rejected; KTO's rows have one response",
        ),
        (("chosen", "prompt"), "chosen, prompt without rejected; expected SimPO's"),
        ((), "(none) without chosen, rejected; expected SimPO's"),
        (
            ("chosen", "rejected", "all_rm_scores"),
            "all_rm_scores, chosen, rejected without all_generated_responses; expected SimPO's",
        ),
        (
            ("chosen", "rejected", "score_chosen"),
            "chosen, rejected, score_chosen without score_rejected; set the two to use as dataset.chosen_reward=",
        ),
    ],
)
def test_a_missing_column_names_what_was_found_and_expected(names, message):
    with pytest.raises(ValueError, match="found the columns") as caught:
        columns(*names)
    assert str(caught.value).startswith(f"{WHERE}: found the columns {message}")


def test_the_expected_schemas_are_all_three():
    assert all(name in EXPECTED for name in ("SimPO", "TRL", "HH"))


def test_two_pairs_of_reward_columns_are_ambiguous_until_the_user_names_one():
    both = ("chosen", "rejected", "chosen_reward", "rejected_reward", "score_chosen", "score_rejected")
    with pytest.raises(ValueError, match=r"are both rewards; set the two to use as dataset\.chosen_reward="):
        columns(*both)
    assert columns(*both, named=("score_chosen", "score_rejected")).reward_pair == ("score_chosen", "score_rejected")


def test_a_named_reward_column_that_is_missing_suggests_the_nearest():
    names = ("chosen", "rejected", "chosen_rating", "rejected_rating")
    message = r"^dataset\.chosen_reward=chosen_ratng: no such column; did you mean 'chosen_rating'\?$"
    with pytest.raises(ValueError, match=message):
        columns(*names, named=("chosen_ratng", "rejected_rating"))


def test_one_column_is_not_the_reward_of_both():
    with pytest.raises(
        ValueError, match=r"^dataset\.rejected_reward=a: is also the column of chosen; set two different columns$"
    ):
        columns("chosen", "rejected", "a", named=("a", "a"))


def test_naming_one_of_the_two_reward_columns_is_refused():
    with pytest.raises(ValueError, match=r"^dataset\.rejected_reward=null: only the other reward column is set"):
        columns("chosen", "rejected", "a", named=("a", None))
