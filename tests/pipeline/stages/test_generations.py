"""From a data set's prompts to pairs: prompts, generations, their rewards, and what a pairing rule makes of them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import FileDigests
from apm_exp.core.files import read_jsonl
from apm_exp.core.messages import read_messages
from apm_exp.core.types import Policy, Refusal
from apm_exp.data.generate.samples import Response
from apm_exp.data.generate.transformers_sampler import sample_responses
from apm_exp.data.sources.rows import SourceRow
from apm_exp.pipeline.stages import pairs as pairs_stage
from apm_exp.pipeline.stages import rewards as rewards_stage
from apm_exp.pipeline.step import Step
from tests.data.sources.sources import stored_turn
from tests.micro_world_policy import SAMPLING, small_policy
from tests.pipeline.stages.generated import MAX_MIN, asked, paired, responded, rewarded

FOUR = {"_target_": f"{__name__}.four_rows"}
SCRIPT = {"_target_": f"{__name__}.scripted", "samples": 4}
LENGTHS = {"_target_": f"{__name__}.lengths"}
WORLD = {"_target_": "apm_exp.data.worlds.micro_world.prompts.prompts", "prompts": 12, "seed": 0}
SAMPLE = {"_target_": "apm_exp.data.generate.transformers_sampler.sample_responses"} | SAMPLING
NOWHERE = Policy(None, "k", "float32", "auto", False)  # type: ignore[arg-type]


def four_rows():
    for line, prompt in enumerate(("p1", "p2", "p3", "p1"), 1):
        yield SourceRow(f"f:{line}", {"prompt": prompt}, None)


def scripted(policy, prompts, runtime, wanted, *, samples: int):
    """Responses that a test can follow by hand; the second prompt gives no pair."""
    texts = {"p1": ["aa", "a", "aaa", "b"], "p2": ["same", "same", "same", "same"], "p3": ["c", "dd", "ee", "f"]}
    for number in (2, 0, 3, 1):
        for index, numbers in sorted(wanted.items(), reverse=True):
            if number in numbers:
                text = texts[prompts[index][0]["content"]][number]
                yield index, number, Response(text, number != 2, [3, 2, 4, 2][number])


def refusing(policy, prompts, runtime, wanted, *, samples: int):
    for index, numbers in wanted.items():
        yield from ((index, number, Refusal("prompt too long", "9 tokens")) for number in numbers)


def interrupted(policy, prompts, runtime, wanted, *, samples: int, after: int):
    """The real thing, killed after so many responses."""
    for count, item in enumerate(sample_responses(policy, prompts, runtime, wanted, **SAMPLING)):
        if count == after:
            raise KeyboardInterrupt
        yield item


def remembered(policy, prompts, runtime, wanted, *, samples: int):
    """The real thing, which remembers what it was asked for."""
    wanted_before.append(wanted)
    return sample_responses(policy, prompts, runtime, wanted, **SAMPLING)


wanted_before: list[dict[int, list[int]]] = []


def lengths(responses: pa.Table) -> list[list[float]]:
    assert responses["prompt"].to_pylist() == [[stored_turn("user", p)] for p in ("p1", "p2", "p3")]
    assert responses["recorded_rewards"].null_count == 3
    return [[float(len(text)) for text in row] for row in responses["responses"].to_pylist()]


@pytest.fixture(autouse=True)
def _trust_the_tests(monkeypatch):
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})


def refused(artifact: Artifact) -> list[tuple[str, str]]:
    return [(row["source"], row["reason"]) for row in read_jsonl(artifact.path / "refused.jsonl")]


def texts(artifact: Artifact) -> list[tuple[str, str]]:
    """The chosen and the rejected response of each pair."""
    rows = pq.read_table(artifact.path / "pairs.parquet").to_pylist()
    return sorted((row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows)


def test_prompts_are_there_once_in_the_order_of_the_data(tmp_path):
    found = asked(tmp_path, FOUR)
    assert found.counts == {"rows": 4, "prompts": 3, "refused": 1}
    rows = pq.read_table(found.path / "prompts.parquet").to_pylist()
    assert [(row["prompt"], row["source"]) for row in rows] == [
        ([stored_turn("user", f"p{number}")], f"f:{number}") for number in (1, 2, 3)
    ]
    assert {len(row["prompt_id"]) for row in rows} == {16}
    assert refused(found) == [("f:4", "duplicate prompt")]


def test_limit_counts_rows_of_the_source(tmp_path):
    assert asked(tmp_path, FOUR, limit=3).counts == {"rows": 3, "prompts": 3, "refused": 0}


def test_a_bad_row_is_an_error_if_that_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"^dataset\.on_bad_row=error: 1 of 4 rows: f:4 duplicate prompt .*refuse$"):
        asked(tmp_path, FOUR, on_bad_row="error")


def test_generations_hold_every_response_of_a_prompt(tmp_path, caplog):
    made = responded(tmp_path, FOUR, NOWHERE, SCRIPT)
    assert "3 of 12 responses (25%) were truncated" in caplog.text
    assert made.counts == {"prompts": 3, "responses": 12, "cut_off": 3, "refused": 0}
    first, second, _ = pq.read_table(made.path / "generations.parquet").to_pylist()
    assert len(first.pop("prompt_id")) == 16
    assert first == {
        "prompt": [stored_turn("user", "p1")],
        "tools": None,
        "source": "f:1",
        "responses": ["aa", "a", "aaa", "b"],
        "finished": [True, True, False, True],
        "lengths": [3, 2, 4, 2],
        "logps": None,
        "prompt_ids": None,
        "response_ids": None,
        "tokenizer": None,
        "sampler": None,
    }
    assert second["responses"] == ["same"] * 4
    assert sorted(path.name for path in made.path.iterdir()) == ["generations.parquet", "refused.jsonl"]


def test_the_best_and_the_worst_make_the_pair(tmp_path):
    responses = responded(tmp_path, FOUR, NOWHERE, SCRIPT)
    made = paired(tmp_path, responses, LENGTHS)
    assert {name: made.counts[name] for name in ("rows", "pairs", "refused", "bad_rows")} == {
        "rows": 3,
        "pairs": 2,
        "refused": 1,
        "bad_rows": 0,
    }
    assert texts(made) == [("aaa", "a"), ("dd", "c")]
    assert [reason for _, reason in refused(made)] == ["identical responses"]
    rewards = pq.read_table(tmp_path / "rewards" / "rewards.parquet").to_pylist()
    assert [row["all_rewards"] for row in rewards] == [[2.0, 1.0, 3.0, 1.0], [4.0] * 4, [1.0, 2.0, 2.0, 1.0]]
    assert set(rewards[0]) == {"prompt_id", "all_rewards"}


def every_ordered_pair(responses, rewards):
    """Pairing rule of a user: every response against every one of a lower reward."""
    return [(i, j) for i, first in enumerate(rewards) for j, second in enumerate(rewards) if first > second]


def test_a_pairing_rule_may_make_several_pairs_of_a_prompt(tmp_path):
    responses = responded(tmp_path, FOUR, NOWHERE, SCRIPT)
    made = paired(tmp_path, responses, LENGTHS, {"_target_": f"{__name__}.every_ordered_pair"})
    assert made.counts["pairs"] == 5 + 4
    assert texts(made).count(("aaa", "b")) == 1
    rows = pq.read_table(made.path / "pairs.parquet").to_pylist()
    of_first = {row["pair_id"].partition("-")[0] for row in rows if row["chosen"][0]["content"] in ("aaa", "aa")}
    assert len(of_first) == 1  # <prompt_id>-<digest of the pair>


def test_prompts_that_are_all_refused_are_an_error_and_the_reasons_are_there(tmp_path):
    with pytest.raises(ValueError, match=r"^generate: all 3 prompts were refused, the first: prompt too long: 9 token"):
        responded(tmp_path, FOUR, NOWHERE, {"_target_": f"{__name__}.refusing", "samples": 2})
    listed = [row["reason"] for row in read_jsonl(tmp_path / "generations" / "refused.jsonl")]
    assert listed == ["prompt too long"] * 3


def test_no_pair_at_all_is_an_error_with_the_reasons(tmp_path):
    responses = responded(tmp_path, FOUR, NOWHERE, SCRIPT)
    with pytest.raises(ValueError, match=r"no row is usable, 3 of 3 rows refused \(no rewards 3\)"):
        paired(tmp_path, responses, {"_target_": "apm_exp.data.rewards.recorded.recorded"})


def too_few(responses: pa.Table) -> list[list[float]]:
    return [[1.0]]


def test_a_reward_for_each_response_or_an_error(tmp_path):
    responses = responded(tmp_path, FOUR, NOWHERE, SCRIPT)
    with pytest.raises(ValueError, match="not one reward for each response"):
        rewarded(tmp_path, responses, {"_target_": f"{__name__}.too_few"})


def test_a_single_response_and_recorded_rewards_are_refused_before_any_work(tmp_path):
    responses = Step(
        "generations", "", "s", sample_responses, {"generate": {"samples": 1}}, tmp_path, FileDigests(tmp_path)
    )
    sampled = {"generations": responses, "pairing": MAX_MIN}
    with pytest.raises(ValueError, match=r"^generate\.samples=1: a pair needs two responses"):
        pairs_stage.foresee({"sampled": sampled}, {})
    recorded = {"responses": responses, "reward": {"_target_": "apm_exp.data.rewards.recorded.recorded"}}
    with pytest.raises(ValueError, match=r"^reward=recorded: the responses are sampled here and have no recorded"):
        rewards_stage.foresee(recorded, {})


def keeping(responses: pa.Table, scored: Path) -> list[list[float]]:
    """A source of a user that keeps the first row's rewards, is killed, and resumes from them."""
    kept = scored / "first.json"
    if not kept.exists():
        kept.write_text(json.dumps(lengths(responses)[0]))
        raise KeyboardInterrupt
    return [json.loads(kept.read_text()), *lengths(responses)[1:]]


def test_a_reward_source_resumes_from_what_it_has_kept(tmp_path):
    responses = responded(tmp_path, FOUR, NOWHERE, SCRIPT)
    whole = rewarded(tmp_path / "whole", responses, LENGTHS)
    node = {"_target_": f"{__name__}.keeping"}
    with pytest.raises(KeyboardInterrupt):
        rewarded(tmp_path / "killed", responses, node)
    resumed = rewarded(tmp_path / "killed", responses, node)
    assert resumed.counts == whole.counts
    assert (resumed.path / "rewards.parquet").read_bytes() == (whole.path / "rewards.parquet").read_bytes()
    assert [path.name for path in resumed.path.iterdir()] == ["rewards.parquet"]


@pytest.fixture(scope="module")
def micro_policy(tmp_path_factory):
    return small_policy(tmp_path_factory.mktemp("micro_policy"))


def test_a_killed_stage_resumes_and_ends_with_the_same_responses(micro_policy, tmp_path):
    whole = responded(tmp_path / "whole", WORLD, micro_policy, SAMPLE)
    node = {"_target_": f"{__name__}.interrupted", "samples": 3, "after": 4}
    with pytest.raises(KeyboardInterrupt):
        responded(tmp_path / "killed", WORLD, micro_policy, node)
    (journal,) = (tmp_path / "killed" / "generations" / "sampled").iterdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_bytes(b"".join(lines)[:-9])  # the kill truncated the last line
    wanted_before.clear()
    resumed = responded(tmp_path / "killed", WORLD, micro_policy, {"_target_": f"{__name__}.remembered", "samples": 3})
    assert sum(map(len, wanted_before[0].values())) == whole.counts["responses"] - 3
    assert resumed.counts == whole.counts
    ended, expected = (pq.read_table(made.path / "generations.parquet") for made in (resumed, whole))
    assert ended.drop("logps").equals(expected.drop("logps"))
    for logps in zip(ended["logps"].to_pylist(), expected["logps"].to_pylist(), strict=True):
        assert logps[0] == pytest.approx(logps[1], abs=1e-4)  # other batches, other rounding
    assert not journal.parent.exists()


def test_multi_turn_prompts_stay_messages(tmp_path):
    responses = responded(
        tmp_path, {"_target_": f"{__name__}.conversations"}, NOWHERE, {"_target_": f"{__name__}.two_each", "samples": 2}
    )
    made = paired(tmp_path, responses, {"_target_": f"{__name__}.by_length"})
    (row,) = pq.read_table(made.path / "pairs.parquet").to_pylist()
    assert row["prompt"] == [stored_turn("system", "s"), stored_turn("user", "u", name="Ann")]
    assert row["chosen"] == [stored_turn("assistant", "long")]


def test_the_tools_of_a_prompt_reach_the_sampler_the_reward_and_the_pairs(tmp_path):
    responses = responded(
        tmp_path, {"_target_": f"{__name__}.with_tools"}, NOWHERE, {"_target_": f"{__name__}.named_tools", "samples": 2}
    )
    made = paired(tmp_path, responses, {"_target_": f"{__name__}.by_tools"})
    assert (made.counts["pairs"], made.counts["refused"]) == (1, 1)
    (row,) = pq.read_table(made.path / "pairs.parquet").to_pylist()
    assert json.loads(row["tools"]) == TOOLS
    assert read_messages(row["chosen"])[0]["content"] == "look look"
    assert [reason for _, reason in refused(made)] == ["no rewards"]


def test_a_sampler_that_takes_no_tools_is_not_asked_about_prompts_that_have_some(tmp_path):
    made = responded(
        tmp_path, {"_target_": f"{__name__}.with_tools"}, NOWHERE, {"_target_": f"{__name__}.two_each", "samples": 2}
    )
    assert refused(made) == [("f:1", "tools")]
    assert made.counts["refused"] == 1


TOOLS = [{"type": "function", "function": {"name": "look"}}]


def with_tools():
    yield SourceRow("f:1", {"prompt": "p", "tools": TOOLS}, None)
    yield SourceRow("f:2", {"prompt": "p", "tools": None}, None)


def named_tools(policy, prompts, runtime, wanted, tools, *, samples: int):
    for index, of_prompt in enumerate(tools):
        name = of_prompt[0]["function"]["name"] if of_prompt else "none"
        yield index, 0, Response(name, True, 2)
        yield index, 1, Response(f"{name} {name}", True, 3)


def by_tools(responses: pa.Table) -> list[list[float] | None]:
    lengths = by_length(responses)
    return [each if tools else None for each, tools in zip(lengths, responses["tools"].to_pylist(), strict=True)]


CONVERSATION = [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "Ann"}]


def conversations():
    yield SourceRow("f:1", {"prompt": CONVERSATION}, None)


def two_each(policy, prompts, runtime, wanted, *, samples: int):
    for index, numbers in wanted.items():
        yield from ((index, number, Response(["x", "long"][number], True, 2)) for number in numbers)


def by_length(responses: pa.Table) -> list[list[float]]:
    return [[float(len(text)) for text in row] for row in responses["responses"].to_pylist()]
