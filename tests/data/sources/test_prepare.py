import json
import logging
import random
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.split import held_out_split
from apm_exp.data.sources.parquet_file import parquet_rows
from tests.data.sources.sources import as_rows, prepared, simpo_row, stored_turn, trl_row, turn


def without_source(pairs):
    return [{name: value for name, value in pair.items() if name != "source"} for pair in pairs]


def test_a_simpo_row_becomes_this_row_of_the_table(tmp_path):
    result = prepared(tmp_path, as_rows([simpo_row(7)]))
    assert result.counts == {"rows": 1, "pairs": 1, "prompts": 1, "refused": 0}
    assert result.refused == []
    assert result.pairs == [
        {
            "pair_id": "prompt-7",
            "prompt": [stored_turn("user", "question 7")],
            "chosen": [stored_turn("assistant", "good")],
            "rejected": [stored_turn("assistant", "bad")],
            "tools": None,
            "responses": ["fair", "bad", "good"],
            "response_extras": None,
            "chosen_index": 2,
            "rejected_index": 1,
            "recorded_rewards": [0.5, -1.0, 3.0],
            "holdout_rank": 0,
            "source": "rows.jsonl:1",
            "own": '{"prompt_id": "prompt-7"}',
        }
    ]


def test_columns_that_are_not_read_are_kept_beside_the_pair(tmp_path):
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "system": "s", "chosen_reward": 1.0, "rejected_reward": 0.0}
    own = {"id": 7, "topic": "Ärzte", "score": 0.5, "day": date(2026, 1, 2), "tags": [{"a": 1}], "note": None}
    (pair,) = prepared(tmp_path, as_rows([row | own])).pairs
    assert json.loads(pair["own"]) == own | {"day": "2026-01-02"}


def test_the_fields_of_messages_and_the_tools_are_in_the_table_and_part_of_the_id(tmp_path):
    call, tools = {"function": {"name": "look", "arguments": {"at": None}}}, [{"function": {"name": "look"}}]
    row = trl_row(id=..., tools=tools, chosen=[{"role": "assistant", "content": None, "tool_calls": [call]}])
    row["rejected"] = [turn("assistant", "bad")]
    result = prepared(tmp_path, as_rows([row, row | {"tools": None}]))
    pair = next(pair for pair in result.pairs if pair["tools"])
    assert pair["chosen"] == [stored_turn("assistant", None, tool_calls=[call])]
    assert (pair["tools"], pair["responses"]) == (json.dumps(tools), ["", "bad"])
    assert pair["response_extras"] == [json.dumps({"tool_calls": [call]}), None]
    assert result.counts["pairs"] == 2


def test_rewards_are_null_where_the_source_has_none(tmp_path):
    row = trl_row(chosen_reward=..., rejected_reward=...)
    assert prepared(tmp_path, as_rows([row])).pairs[0]["recorded_rewards"] is None


def test_without_an_id_column_the_id_is_the_digest_of_the_content(tmp_path):
    pair = prepared(tmp_path, as_rows([trl_row(id=...)])).pairs[0]
    content = {"prompt": [turn("user", "question 0")], "chosen": "good answer 0", "rejected": "bad answer 0"}
    assert pair["pair_id"] == text_digest(canonical(content))[:16]


def test_ids_of_integers_are_text_and_the_table_is_sorted_by_them(tmp_path):
    rows = [trl_row(number, id=number) for number in (10, 9, 2)]
    assert [pair["pair_id"] for pair in prepared(tmp_path, as_rows(rows)).pairs] == ["10", "2", "9"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, ("null", "id is null")),
        (" ", ("empty id", "id has no text")),
        (1.5, ("wrong type", "id is of type float, not text or an integer")),
        (True, ("wrong type", "id is of type bool, not text or an integer")),
    ],
)
def test_an_id_that_is_none_is_refused(tmp_path, value, problem):
    refusal = prepared(tmp_path, as_rows([trl_row(0), trl_row(1, id=value)])).refused[0]
    assert (refusal["reason"], refusal["detail"]) == problem
    assert refusal["pair_id"] is None


def test_a_prompt_of_the_held_out_split_in_the_other_one_is_said(tmp_path, caplog):
    shared, own, aside = trl_row(0, id="a"), trl_row(1, id="b"), trl_row(2, id="c", prompt="question 0")
    held_out = [replace(row, held_out=True) for row in as_rows([aside], "test.jsonl")]
    result = prepared(tmp_path, [*as_rows([shared, own]), *held_out])
    assert [pair["holdout_rank"] for pair in result.pairs][2] == -1
    assert caplog.messages == ["dataset.holdout_split: 1 training pairs have the prompt of a held-out pair"]


def test_of_rows_with_one_id_the_first_is_kept(tmp_path):
    result = prepared(tmp_path, as_rows([trl_row(0, id="a"), trl_row(1, id="b"), trl_row(2, id="a")]))
    assert [pair["source"] for pair in result.pairs] == ["rows.jsonl:1", "rows.jsonl:2"]
    assert result.refused == [
        {
            "source": "rows.jsonl:3",
            "pair_id": "a",
            "reason": "duplicate id",
            "detail": "the same id as rows.jsonl:1",
        }
    ]


def test_a_refused_row_does_not_take_its_id_away(tmp_path):
    result = prepared(tmp_path, as_rows([trl_row(0, id="a", chosen=""), trl_row(1, id="a")]))
    assert [refusal["reason"] for refusal in result.refused] == ["empty response"]
    assert [pair["source"] for pair in result.pairs] == ["rows.jsonl:2"]


def test_the_same_pair_twice_without_ids_is_a_duplicate(tmp_path):
    result = prepared(tmp_path, as_rows([trl_row(id=...), trl_row(id=...)]))
    assert result.refused[0]["detail"] == "the same prompt, chosen and rejected as rows.jsonl:1"


def test_several_pairs_of_one_prompt_id_are_told_apart_and_repeats_refused(tmp_path):
    first, second = simpo_row(0), simpo_row(0, chosen=[turn("user", "question 0"), turn("assistant", "fair")])
    result = prepared(tmp_path, as_rows([first, second, first, simpo_row(1)]))
    ids = [pair["pair_id"] for pair in result.pairs]
    assert [refusal["reason"] for refusal in result.refused] == ["duplicate id"]
    assert ids[2] == "prompt-1"
    assert [len(set(ids)), *(pair_id.startswith("prompt-0-") for pair_id in ids[:2])] == [3, True, True]


MANY = [
    *(trl_row(number, id=...) for number in range(30)),
    *(trl_row(number, id=..., rejected="another answer") for number in range(10)),
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_table_does_not_depend_on_the_order_of_rows(tmp_path, shuffler: random.Random, seed):
    shuffled = shuffler.sample(MANY, len(MANY))
    one = prepared(tmp_path / "one", as_rows(MANY), seed=seed)
    other = prepared(tmp_path / "other", as_rows(shuffled), seed=seed)
    assert without_source(one.pairs) == without_source(other.pairs)
    assert one.counts == other.counts


def test_all_pairs_of_a_prompt_lie_on_the_same_side(tmp_path):
    """Each of the 30 prompts has a rank of its own, which all of its pairs have; a hold-out of 0.3 is 9 of them."""
    result = prepared(tmp_path, as_rows(MANY))
    assert (result.counts["pairs"], result.counts["prompts"]) == (40, 30)
    places = {(pair["prompt"][0]["content"], pair["holdout_rank"]) for pair in result.pairs}
    assert sorted(rank for _, rank in places) == list(range(30))
    split = held_out_split(Artifact("pairs", tmp_path, "key", result.counts, 0.0), 0.3)
    aside = split.read(tmp_path / "pairs.parquet", ["pair_id", "holdout_rank"])
    assert set(aside["holdout_rank"].to_pylist()) == set(range(9))


def test_another_seed_holds_out_other_prompts(tmp_path):
    ranks = [
        [pair["holdout_rank"] for pair in prepared(tmp_path / str(seed), as_rows(MANY), seed=seed).pairs]
        for seed in (0, 1)
    ]
    assert ranks[0] != ranks[1]


def test_the_limit_counts_source_rows_good_or_bad_and_reads_no_further(tmp_path):
    def rows():
        yield from as_rows([trl_row(0), trl_row(1, chosen=""), trl_row(2)])
        raise AssertionError("read beyond the limit")

    counts = prepared(tmp_path, rows(), limit=3).counts
    assert (counts["rows"], counts["pairs"], counts["refused"]) == (3, 2, 1)


def test_refused_rows_are_one_warning_with_counts_and_where_they_are_listed(tmp_path, caplog):
    rows = [trl_row(0), trl_row(1, chosen=""), trl_row(2, chosen=""), trl_row(3, rejected_reward=float("nan"))]
    with caplog.at_level(logging.WARNING):
        prepared(tmp_path, as_rows(rows))
    assert [record.getMessage() for record in caplog.records] == [
        "dataset.path=rows.jsonl: 3 of 4 rows refused (empty response 2, non-finite reward 1), "
        f"listed in {tmp_path}/refused.jsonl"
    ]


def test_on_bad_row_error_names_the_first_rows_the_count_and_the_remedy(tmp_path):
    rows = [trl_row(0), *(trl_row(number, chosen="") for number in range(1, 6))]
    with pytest.raises(ValueError, match="on_bad_row") as caught:
        prepared(tmp_path, as_rows(rows), on_bad_row="error")
    problem = "empty response (chosen has no text)"
    assert str(caught.value) == (
        "dataset.on_bad_row=error: dataset.path=rows.jsonl: 5 of 6 rows refused (empty response 5): "
        f"rows.jsonl:2:row-1 {problem}; rows.jsonl:3:row-2 {problem}; rows.jsonl:4:row-3 {problem}; ...; "
        f"fix them (all are listed in {tmp_path}/refused.jsonl) or use dataset.on_bad_row=refuse"
    )
    assert not (tmp_path / "pairs.parquet").exists()
    assert len((tmp_path / "refused.jsonl").read_text().splitlines()) == 5


def test_on_bad_row_error_passes_where_all_rows_are_good(tmp_path):
    assert prepared(tmp_path, as_rows([trl_row()]), on_bad_row="error").counts["pairs"] == 1


def test_no_usable_row_is_an_error_with_the_commonest_reasons(tmp_path):
    rows = [trl_row(0, chosen=""), trl_row(1, prompt=""), trl_row(2, chosen="")]
    message = r"no row is usable, 3 of 3 rows refused \(empty response 2, empty prompt 1\): rows\.jsonl:1:row-0 empty"
    with pytest.raises(ValueError, match=message):
        prepared(tmp_path, as_rows(rows))


def test_no_rows_at_all_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"^dataset\.path=rows\.jsonl: has no rows$"):
        prepared(tmp_path, [])


def test_hostile_text_survives_the_way_into_the_table(tmp_path):
    text = 'line\nbreak \u2028 \x00 "quotes" \\ 😀 \x85'
    pair = prepared(tmp_path, as_rows([trl_row(prompt=text, chosen=text + "!", id=text)])).pairs[0]
    assert pair["pair_id"] == pair["prompt"][0]["content"] == text
    assert pair["chosen"][0]["content"] == text + "!"


def test_only_the_two_files_are_left(tmp_path):
    prepared(tmp_path, as_rows([trl_row()]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.parquet", "refused.jsonl"]


def test_the_list_of_refused_rows_is_json_line_by_line(tmp_path):
    prepared(tmp_path, as_rows([trl_row(0), trl_row(1, id="a\u2028b", chosen="")]))
    lines = (tmp_path / "refused.jsonl").read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0])["pair_id"] == "a\u2028b"
    assert lines[1:] == [""]


def test_decimals_structs_of_lists_and_filled_structs_of_parquet_are_read(tmp_path):
    calls = [{"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": {"y": "2"}}}]
    rows = [
        {
            "id": Decimal(number),
            "prompt": {"role": ["system", "user"], "content": ["s", f"q {number}"]},
            "chosen": [{"role": "assistant", "content": None, "tool_calls": [call]}],
            "rejected": [{"role": "assistant", "content": "bad"}],
            "score_chosen": Decimal("1.50"),
            "score_rejected": Decimal("-0.25"),
            "tools": [call["function"]],
        }
        for number, call in enumerate(calls)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    result = prepared(tmp_path / "out", parquet_rows(tmp_path / "rows.parquet"))
    assert result.refused == []
    for number, (pair, call) in enumerate(zip(result.pairs, calls, strict=True)):
        assert (pair["pair_id"], pair["recorded_rewards"]) == (str(number), [1.5, -0.25])
        assert pair["prompt"] == [stored_turn("system", "s"), stored_turn("user", f"q {number}")]
        assert pair["chosen"] == [stored_turn("assistant", None, tool_calls=[call])]
        assert json.loads(pair["tools"]) == [call["function"]]
