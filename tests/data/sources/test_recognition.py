import pytest

from tests.data.sources.sources import as_rows, prepared, simpo_row, trl_row


def test_files_of_different_schemas_are_refused(tmp_path):
    rows = as_rows([trl_row()], "a.jsonl") + as_rows([simpo_row()], "b.jsonl")
    with pytest.raises(
        ValueError, match=r"^dataset\.path=rows\.jsonl: a\.jsonl and b\.jsonl differ in all_generated_responses, .*"
    ):
        prepared(tmp_path, rows)


GOOD = [trl_row(number) for number in range(3, 9)]


@pytest.mark.parametrize(
    ("odd", "reason", "detail"),
    [
        (trl_row(id=...), "missing column", "id, which the other rows of the file have"),
        ({"note": "exported today"}, "missing column", "chosen, id, prompt, rejected, which"),
        (
            trl_row(all_generated_responses=["a"]),
            "other columns",
            "all_generated_responses, which the other rows of the file lack",
        ),
        (
            trl_row(score_chosen=1),
            "other columns",
            "dataset.path=rows.jsonl: found the columns chosen, chosen_reward, id, prompt, rejected, rejected_reward,",
        ),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_row_that_differs_from_the_others_is_refused_wherever_it_stands(tmp_path, odd, reason, detail, place):
    result = prepared(tmp_path, as_rows([*GOOD[:place], odd, *GOOD[place:]]))
    assert result.counts["pairs"] == 6
    assert [refusal["source"] for refusal in result.refused] == [f"rows.jsonl:{place + 1}"]
    assert result.refused[0]["reason"] == reason
    assert result.refused[0]["detail"].startswith(detail)


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("changed", [{"rejected_reward": ...}, {"rejected_reward": None}, {"chosen_reward": None}])
def test_a_row_that_lacks_a_reward_is_a_pair_without(tmp_path, caplog, place, changed):
    odd = trl_row(**changed)
    result = prepared(tmp_path, as_rows([*GOOD[:place], odd, *GOOD[place:]]))
    assert result.refused == []
    assert [pair["recorded_rewards"] for pair in result.pairs] == [None, *[[2.0, 1.0]] * 6]
    lack = "1 of 7 pairs lack a reward of chosen or rejected; metrics and losses that need rewards skip them"
    assert caplog.messages == [f"dataset.path=rows.jsonl: {lack}"]


def test_a_column_that_is_not_used_may_come_and_go(tmp_path):
    rows = [trl_row(0), trl_row(1, prompt_id="a"), trl_row(2, note="b")]
    assert prepared(tmp_path, as_rows(rows)).counts["pairs"] == 3


def test_a_source_where_no_row_fits_is_an_error_soon(tmp_path):
    def rows():
        yield from as_rows([{"text": "a", "label": 1}] * 100)
        raise AssertionError("read on although nothing fits")

    with pytest.raises(ValueError, match="found the columns label, text without chosen, rejected"):
        prepared(tmp_path, rows())


@pytest.mark.parametrize("place", [0, 3, 6])
def test_rewards_that_few_rows_have_are_read(tmp_path, place):
    without = [trl_row(number, chosen_reward=..., rejected_reward=...) for number in range(1, 7)]
    result = prepared(tmp_path, as_rows([*without[:place], trl_row(0), *without[place:]]))
    assert result.refused == []
    assert [pair["recorded_rewards"] for pair in result.pairs] == [[2.0, 1.0], *[None] * 6]
