"""From generations to log-probs: the tokens that were sampled are the tokens that are scored and trained on."""

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.files import read_jsonl
from apm_exp.core.messages import read_messages
from apm_exp.core.types import Policy
from apm_exp.data.sources.rows import SourceRow
from apm_exp.models.load import load_tokenizer
from apm_exp.pipeline.stages.logps import logps
from tests.micro_world_policy import RUNTIME, SAMPLING
from tests.models.tokens.chat_tokenizers import CHATML
from tests.pipeline.stages.generated import paired, responded
from tests.thinking_policy import thinking_policy

DATASET = {"_target_": f"{__name__}.questions"}
SAMPLE = {"_target_": "apm_exp.data.generate.transformers_sampler.sample_responses", **SAMPLING, "batch_size": 90}
REWARD = {"_target_": f"{__name__}.by_length"}
TOKENS = {"_target_": "apm_exp.models.tokens.per_response.per_response", "max_length": 200, "max_prompt_length": 150}
SIMPO_2024 = TOKENS | {"_target_": "apm_exp.models.tokens.simpo_2024.simpo_2024", "insert_empty_system": False}
PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")


def questions():
    for number in range(60):
        yield SourceRow(f"f:{number + 1}", {"prompt": f"What is the capital of {number}?"}, None)


def by_length(responses: pa.Table) -> list[list[float]]:
    """More characters, or later ones, are better."""
    return [[len(text) + sum(map(ord, text)) / 1e9 for text in row] for row in responses["responses"].to_pylist()]


@dataclass
class Sampled:
    folder: Path
    policy: Policy
    generations: pa.Table
    counts: dict[str, Any]
    responses: Artifact

    def scored(self, out: Path, policy: Policy | None = None, tokens: Any = TOKENS) -> tuple[pa.Table, dict[str, int]]:
        """logps.parquet of the pairs, and the counts."""
        out.mkdir()
        counts = logps(
            out,
            pairs=Artifact("pairs", self.folder, "k", {}, 0.0),
            policy=policy or self.policy,
            tokens=tokens,
            on_bad_row="refuse",
            runtime=RUNTIME,
        )
        return pq.read_table(out / "logps.parquet"), counts


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder, policy = tmp_path_factory.mktemp("sampled"), thinking_policy(tmp_path_factory.mktemp("thinking"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})
        responses = responded(folder, DATASET, policy, SAMPLE)
        made = paired(folder, responses, REWARD)
    return Sampled(
        made.path, policy, pq.read_table(responses.path / "generations.parquet"), dict(made.counts), responses
    )


@pytest.fixture(scope="module")
def scored(sampled, tmp_path_factory):
    return sampled.scored(tmp_path_factory.mktemp("scored") / "out")


@dataclass
class Response:
    """A response of a pair as it was sampled, and as it was scored."""

    text: str
    prompt_ids: list[int]
    ids: list[int]
    logp: float
    finished: bool
    scored_prompt: list[int]
    scored_ids: list[int]
    scored_logp: float


@pytest.fixture(scope="module")
def responses(sampled, scored):
    """Both responses of every pair, found among the generations by their texts."""
    rows = {row["pair_id"]: row for row in scored[0].to_pylist()}
    pairs = {row["pair_id"]: row for row in pq.read_table(sampled.folder / "pairs.parquet").to_pylist()}
    found = []
    for row in (row for row in sampled.generations.to_pylist() if row["prompt_id"] in pairs):
        for name in ("chosen", "rejected"):
            text = pairs[row["prompt_id"]][name][0]["content"]
            at = row["responses"].index(text)
            of_row = (row["prompt_ids"], row["response_ids"][at], row["logps"][at], row["finished"][at])
            mine = rows[row["prompt_id"]]
            found.append(Response(text, *of_row, mine["prompt_ids"], mine[f"{name}_ids"], mine[f"{name}_logp"]))
    return found


def test_the_tokens_scored_are_the_tokens_sampled(responses):
    assert len(responses) > 100
    for one in responses:
        assert (one.scored_prompt, one.scored_ids) == (one.prompt_ids, one.ids)


def test_the_log_probs_scored_are_those_under_the_sampler_at_temperature_1(responses, scored):
    assert SAMPLING["temperature"] != 1
    for one in responses:
        assert one.scored_logp == pytest.approx(one.logp, abs=1e-4 * len(one.ids))
    assert scored[1]["as_sampled"] == scored[1]["pairs"] == len(responses) // 2


def test_a_truncated_response_has_no_end_token_and_a_finished_one_has_the_sampled_one(responses, sampled):
    end = load_tokenizer(sampled.policy).eos_token_id
    assert {one.finished for one in responses} == {True, False}
    for one in responses:
        assert one.scored_ids.count(end) == one.finished
        assert (one.scored_ids[-1] == end) == one.finished
        assert one.finished or len(one.scored_ids) == SAMPLING["max_new_tokens"]


def test_no_thinking_section_is_scored_that_was_not_sampled(responses, sampled):
    tokenizer = load_tokenizer(sampled.policy)
    assert not any("think" in tokenizer.decode(one.scored_ids) for one in responses)
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    assert "<think>\n\n</think>" in tokenizer.apply_chat_template(turns, tokenize=False)


def test_texts_that_do_not_round_trip_are_among_them(responses, sampled):
    tokenizer = load_tokenizer(sampled.policy)
    again = [tokenizer(one.text, add_special_tokens=False)["input_ids"] for one in responses]
    assert any(ids != one.ids[: len(one.ids) - one.finished] for ids, one in zip(again, responses, strict=True))


def test_a_control_token_inside_a_response_is_in_its_text_and_in_its_tokens(responses, sampled):
    token = "<|im_start|>"
    number = load_tokenizer(sampled.policy).convert_tokens_to_ids(token)
    assert sum(one.text.count(token) for one in responses) > 5
    for one in responses:
        assert one.text.count(token) == one.scored_ids.count(number)
        assert "<|im_end|>" not in one.text


def test_held_out_pairs_have_them_too(sampled, scored):
    """The pairs of every prompt are scored, whether the prompt is held out or not."""
    assert sorted(set(scored[0]["holdout_rank"].to_pylist())) == list(range(int(sampled.counts["prompts"])))


def test_limits_cut_sampled_tokens_as_others(sampled, scored, tmp_path):
    short = TOKENS | {"max_length": 20, "max_prompt_length": 12}
    table, counts = sampled.scored(tmp_path / "out", tokens=short)
    whole = {row["pair_id"]: row for row in scored[0].to_pylist()}
    assert counts["cut_prompts"] == counts["pairs"]
    assert counts["as_sampled"] == 0
    for row in table.to_pylist():
        assert row["prompt_ids"] == whole[row["pair_id"]]["prompt_ids"][-12:]
        assert row["chosen_ids"] == whole[row["pair_id"]]["chosen_ids"][:8]


def rendered(tokenizer, sampled, tokens):
    """The tokens of the pairs' texts, by pair_id."""
    table = pq.read_table(sampled.folder / "pairs.parquet")
    profile = component.bind("tokens", tokens)
    texts = ([*map(read_messages, table[name].to_pylist())] for name in ("prompt", "chosen", "rejected"))
    pairs = profile(tokenizer, *texts)
    return dict(zip(table["pair_id"].to_pylist(), pairs, strict=True))


def test_another_chat_template_is_given_the_texts_and_says_so(sampled, tmp_path, caplog):
    other = replace(sampled.policy, chat_template=CHATML)
    table, counts = sampled.scored(tmp_path / "out", policy=other)
    assert counts["as_sampled"] == 0
    assert "were sampled with another tokenizer or chat template; their texts are tokenized again" in caplog.text
    expected = rendered(load_tokenizer(other), sampled, TOKENS)
    for row in table.to_pylist():
        assert [row[part] for part in PARTS] == [getattr(expected[row["pair_id"]], part) for part in PARTS]


def test_other_weights_with_the_same_tokenizer_score_the_same_tokens(sampled, scored, tmp_path):
    """Their log-probs are others than the sampler's, and nobody compares them."""
    folder = tmp_path / "trained"
    shutil.copytree(sampled.policy.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    load_tokenizer(sampled.policy).save_pretrained(folder)
    table, counts = sampled.scored(tmp_path / "out", policy=replace(sampled.policy, folder=folder, key="trained"))
    assert counts["as_sampled"] == counts["pairs"]
    assert table.select(PARTS).equals(scored[0].select(PARTS))
    assert not table["chosen_logp"].equals(scored[0]["chosen_logp"])


def test_simpo_2024_renders_the_texts_anew_and_says_so(sampled, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        table, counts = sampled.scored(tmp_path / "out", tokens=SIMPO_2024)
    assert "does not use sampled tokens; the responses are tokenized again" in caplog.text
    assert counts["as_sampled"] == 0
    expected = rendered(load_tokenizer(sampled.policy), sampled, SIMPO_2024)
    for row in table.to_pylist():
        assert [row[part] for part in PARTS] == [getattr(expected[row["pair_id"]], part) for part in PARTS]


def test_log_probs_that_are_not_the_samplers_are_an_error(sampled, tmp_path):
    wrong = replace(sampled, folder=tmp_path / "pairs")
    wrong.folder.mkdir()
    table = pq.read_table(sampled.folder / "pairs.parquet")
    place = table.column_names.index("sampled_chosen_logp")
    lower = pc.subtract(table["sampled_chosen_logp"], 1.0)
    pq.write_table(table.set_column(place, "sampled_chosen_logp", lower), wrong.folder / "pairs.parquet")
    with pytest.raises(ValueError, match=r"^generate: the scored log-probs of the sampled responses differ .* 0\.031 "):
        wrong.scored(tmp_path / "out")


def test_a_single_response_that_is_far_off_is_a_warning(sampled, tmp_path, caplog):
    wrong = replace(sampled, folder=tmp_path / "pairs")
    wrong.folder.mkdir()
    table = pq.read_table(sampled.folder / "pairs.parquet")
    place, values = table.column_names.index("sampled_chosen_logp"), table["sampled_chosen_logp"].to_pylist()
    values[7] += 0.1
    pq.write_table(table.set_column(place, "sampled_chosen_logp", pa.array(values)), wrong.folder / "pairs.parquet")
    wrong.scored(tmp_path / "out")
    assert f"log-probs of 1 of {2 * len(table)} sampled responses differ from the sampler's by more than" in caplog.text
    assert f"most for the pair {table['pair_id'][7]}" in caplog.text


def test_making_pairs_again_gives_the_same_file_and_no_warning(sampled, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})
    made = paired(tmp_path, sampled.responses, REWARD)
    assert (made.path / "pairs.parquet").read_bytes() == (sampled.folder / "pairs.parquet").read_bytes()
    assert not [record for record in caplog.records if "not used" in record.message]


def test_refused_rows_do_not_move_the_others(sampled):
    refused = read_jsonl(sampled.folder / "refused.jsonl")
    assert sampled.counts["pairs"] + len(refused) == len(sampled.generations)
