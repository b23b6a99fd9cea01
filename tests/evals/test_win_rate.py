import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import stored
from apm_exp.core.types import Message
from apm_exp.data.worlds.micro_world.splits import purpose_of
from apm_exp.data.worlds.micro_world.true_reward import true_reward
from apm_exp.evals.win_rate import outcomes, scores, win_rate, win_share
from apm_exp.pipeline.nodes import in_stream
from tests.micro_world_policy import small_policy
from tests.pipeline.stages.generated import responded, rewarded

SAMPLE = {
    "_target_": "apm_exp.data.generate.transformers_sampler.sample_responses",
    "samples": 2,
    "temperature": 0.8,
    "top_p": 0.95,
    "max_new_tokens": 8,
    "batch_size": 20,
    "seed": 0,
}
TASKS = "apm_exp.data.worlds.micro_world.prompts.evaluation_prompts"
SETTINGS = {"confidence": 0.95, "prefix": "", "reward": "true_reward"}
JUDGE = {"_target_": "apm_exp.data.worlds.micro_world.noisy_reward.true_rewards"}


@pytest.mark.parametrize(
    ("rewards", "starting", "share"),
    [
        ([1.0], [0.0], 1.0),
        ([0.0], [1.0], 0.0),
        ([0.7], [0.7], 0.5),
        ([0.1 + 0.2], [0.3], 0.5),  # equal but for rounding
        ([1.0, 0.0], [0.5, 0.0], 2.5 / 4),  # two wins, a loss and a tie
        ([1.0, 1.0, 0.0], [0.5], 2 / 3),
    ],
)
def test_a_win_is_one_and_a_tie_is_half(rewards, starting, share):
    assert win_share(rewards, starting) == pytest.approx(share)


REWARDS = st.lists(st.sampled_from([0.0, 0.3, 0.5, 1.0]), min_size=1, max_size=5)


@given(REWARDS, REWARDS)
def test_what_one_wins_the_other_loses(first, second):
    assert win_share(first, second) + win_share(second, first) == pytest.approx(1.0)
    assert win_share(first, first) == 0.5


def test_scores_are_means_over_prompts_with_their_standard_errors():
    columns = {
        "rewards": [[1.0, 0.0], [0.5, 0.5]],
        "starting_rewards": [[0.0, 0.0], [0.5, 0.7]],
        "lengths": [[4, 6], [5, 5]],
        "starting_lengths": [[3, 3], [4, 4]],
        "repetitions": [[0.0, 0.5], [0.0, 0.0]],
        "starting_repetitions": [[0.0, 0.0], [0.0, 0.0]],
        "finished": [[True, False], [True, True]],
        "starting_finished": [[True, True], [True, True]],
    }
    found = scores(outcomes(columns, "", "true_reward"), 0.95)
    win = found["win_rate"]
    assert (win["value"], win["n"], win["unit"]) == (0.5, 2, "share")
    assert win["standard_error"] == pytest.approx(0.25)  # deviations of 1/4: variance 1/8, of the mean 1/16
    assert win["interval"] == [0, 1]  # 12.7 standard errors, t with one degree of freedom, and a share's ends
    low, high = found["length"]["interval"]
    assert (high - low) / 2 == pytest.approx(12.706205 * found["length"]["standard_error"])
    values = {name: record["value"] for name, record in found.items()}
    assert values == pytest.approx(
        {
            "win_rate": 0.5,
            "true_reward": 0.5,
            "starting_true_reward": 0.3,
            "reward_gain": 0.2,
            "length": 5.0,
            "starting_length": 3.5,
            "repetition": 0.125,
            "starting_repetition": 0.0,
            "cut_off": 0.25,
            "starting_cut_off": 0.0,
        }
    )
    assert found["reward_gain"]["standard_error"] == pytest.approx(0.3)  # gains 0.5 and -0.1
    assert next(iter(found)) == "win_rate"


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return small_policy(tmp_path_factory.mktemp("policy"))


def judged(out, policy, stream, seed):
    """Responses of a policy to 20 tasks, in a stream of their own, and their rewards."""
    tasks = {"_target_": TASKS, "prompts": 20, "seed": seed}
    responses = responded(out, tasks, policy, in_stream(SAMPLE | {"seed": seed}, stream))
    return responses, rewarded(out, responses, JUDGE)


def run(out, policy, seed=0):
    both = {name: judged(out / name, policy, stream, seed) for name, stream in STREAMS.items()}
    responses, judgements = ({name: made[place] for name, made in both.items()} for place in (0, 1))
    win_rate(out, responses, judgements, **SETTINGS)
    return json.loads((out / "scores.json").read_text()), pq.read_table(out / "evaluation.parquet").to_pylist()


STREAMS = {"policy": "", "starting_policy": "starting"}


def test_the_texts_are_kept_and_give_the_same_scores_again(policy, tmp_path):
    found, rows = run(tmp_path, policy)
    assert len(rows) == 20 == len({row["prompt"] for row in rows})
    shares = []
    for row in rows:
        assert purpose_of(row["prompt"]) == "evaluation"
        rewards = [
            [true_reward(row["prompt"], text) for text in row[name]] for name in ("responses", "starting_responses")
        ]
        assert rewards == [row["rewards"], row["starting_rewards"]]
        shares.append(win_share(*rewards))
        assert all(length <= 8 for length in row["lengths"])
    assert found["win_rate"]["value"] == pytest.approx(np.mean(shares))
    assert found["win_rate"]["standard_error"] == pytest.approx(np.std(shares, ddof=1) / math.sqrt(20))
    for name, record in found.items():  # each score's outcomes are in the column of its name
        assert np.mean([row[name] for row in rows]) == pytest.approx(record["value"])
    cut_off = np.mean([not flag for row in rows for flag in row["finished"]])
    assert found["cut_off"]["value"] == pytest.approx(cut_off)


def test_the_seed_decides_and_the_policies_are_sampled_independently(policy, tmp_path):
    first, rows = run(tmp_path / "first", policy)
    again, _ = run(tmp_path / "again", policy)
    other, _ = run(tmp_path / "other", policy, seed=1)
    assert first == again != other
    assert [row["responses"] for row in rows] != [row["starting_responses"] for row in rows]
    assert first["win_rate"]["value"] == pytest.approx(0.5, abs=4 * first["win_rate"]["standard_error"])


def written(folder, rewards):
    """Responses of two words to prompts by their ids, and their rewards, as the stages write them."""
    folder.mkdir()
    rows = [
        {
            "prompt_id": name,
            "prompt": stored([Message(role="user", content=f"prompt {name}")]),
            "responses": ["a b"] * 2,
            "finished": [True, True],
            "lengths": [3, 3],
        }
        for name in rewards
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "generations.parquet")
    pq.write_table(pa.table({"all_rewards": pa.array(list(rewards.values()))}), folder / "rewards.parquet")
    return Artifact("generations", folder, folder.name, {}, 0.0)


def test_a_prompt_without_responses_or_rewards_is_left_out_and_counted(tmp_path, caplog):
    ours = written(tmp_path / "ours", {"a": [1.0, 1.0], "b": [1.0, 0.0], "c": None, "d": [5.0, math.nan]})
    theirs = written(tmp_path / "theirs", {"a": [0.0, 1.0], "b": [1.0, 1.0], "c": [9.0, 9.0], "e": [9.0, 9.0]})
    both = dict(zip(STREAMS, (ours, theirs), strict=True))
    win_rate(tmp_path, both, both, **SETTINGS | {"prefix": "held_out_", "reward": "held_out_reward"})
    assert "3 of 5 prompts are left out of the scores" in caplog.text
    found = json.loads((tmp_path / "scores.json").read_text())
    assert {record["n"] for record in found.values()} == {2}
    values = {name: record["value"] for name, record in found.items()}
    assert values == pytest.approx(
        {
            "held_out_win_rate": 0.5,  # three quarters (two wins, two ties) and one quarter
            "held_out_reward": 0.75,
            "starting_held_out_reward": 0.75,
            "held_out_reward_gain": 0.0,
            "held_out_length": 3.0,
            "held_out_repetition": 0.0,
            "held_out_cut_off": 0.0,
            "starting_held_out_length": 3.0,
            "starting_held_out_repetition": 0.0,
            "starting_held_out_cut_off": 0.0,
        }
    )
    rows = pq.read_table(tmp_path / "evaluation.parquet").to_pylist()
    wins = {row["prompt_id"]: row["held_out_win_rate"] for row in rows}
    assert (wins["a"], wins["b"]) == (0.75, 0.25)
    assert all(math.isnan(wins[name]) for name in "cde")


def test_a_judge_that_rewards_nothing_is_an_error(tmp_path):
    both = dict.fromkeys(STREAMS, written(tmp_path / "all", {"a": [math.nan, 1.0]}))
    with pytest.raises(ValueError, match=r"^evals: the judge rewarded none of 1 prompts"):
        win_rate(tmp_path, both, both, **SETTINGS)
