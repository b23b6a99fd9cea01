import logging
import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import EXTRAS
from apm_exp.models import classifier_scores
from apm_exp.pipeline.stages.rewards import rewards
from tests.data.rewards.reward_folder import reward_folder
from tests.micro_world_policy import RUNTIME

RECORDED = {"_target_": "apm_exp.data.rewards.recorded.recorded"}
SHARED = classifier_scores._shared
THIS = {"_target_": f"{__name__}.lengths"}


def lengths(responses: pa.Table) -> list[list[float]]:
    """Rewards that a test can compute by hand: characters of prompt and response."""
    rows = responses.to_pylist()
    return [[float(len(row["prompt"][0]["content"]) + len(r)) for r in row["responses"]] for row in rows]


def too_few(responses: pa.Table) -> list[list[float]]:
    return [[1.0, 2.0], [1.0]]


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Run the stage on two pairs, `b` before `a` in the file."""
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})

    def run(reward, recorded_a=(0.5, 2.0, 1.0), recorded_b=(-1.0, 4.0)):
        columns = {
            "pair_id": ["b", "a"],
            "prompt": [[{"role": "user", "content": "xy"}], [{"role": "user", "content": ""}]],
            "tools": pa.nulls(2, pa.string()),
            "responses": [["1", "22"], ["333", "4444", "55555"]],
            "response_extras": pa.nulls(2, EXTRAS),
            "chosen_index": pa.array([1, 1], pa.int32()),
            "rejected_index": pa.array([0, 0], pa.int32()),
            "recorded_rewards": pa.array([recorded_b, recorded_a], pa.list_(pa.float64())),
        }
        pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
        pairs = Artifact("pairs", tmp_path, "k", {}, 0.0)
        counts = rewards(tmp_path, responses=pairs, reward=reward, runtime=RUNTIME)
        return counts, pq.read_table(tmp_path / "rewards.parquet")

    return run


def test_recorded_rewards_are_sorted_by_pair_id_and_taken_by_index(stage):
    counts, table = stage(RECORDED)
    assert counts == {"pairs": 2, "responses": 5, "inverted": 0, "tied": 0}
    assert table.to_pydict() == {
        "pair_id": ["a", "b"],
        "chosen_reward": [2.0, 4.0],
        "rejected_reward": [0.5, -1.0],
        "all_rewards": [[0.5, 2.0, 1.0], [-1.0, 4.0]],
    }
    assert table.schema.field("all_rewards").type == pa.list_(pa.float64())


def test_a_source_sees_prompts_and_responses(stage):
    _, table = stage(THIS, recorded_a=None, recorded_b=None)
    assert table["all_rewards"].to_pylist() == [[3.0, 4.0, 5.0], [3.0, 4.0]]
    assert table["chosen_reward"].to_pylist() == [4.0, 4.0]


def device_asked_for(responses: pa.Table, runtime: Mapping[str, Any], *, scale: float) -> list[list[float]]:
    """Rewards that say whether the source was told of the CPU."""
    on_cpu = scale * (runtime["device"] == "cpu")
    return [[on_cpu * place for place in range(len(row))] for row in responses["responses"].to_pylist()]


def test_a_source_is_told_how_the_work_is_run_where_it_asks(stage):
    _, table = stage({"_target_": f"{__name__}.device_asked_for", "scale": 2.0})
    assert table["chosen_reward"].to_pylist() == [2.0, 2.0]


@pytest.fixture
def classifier(tmp_path):
    """The node of a reward model that scores two responses at once."""
    settings = {"revision": None, "dtype": "float32", "batch_size": 2, "max_length": 256, "trust_remote_code": False}
    folder = reward_folder(tmp_path / "model")
    return {"_target_": "apm_exp.data.rewards.classifier.classifier", "path": str(folder)} | settings


def choose_row(backbone, _shared, _plain):
    """Choose the shared form without the trial, whose forwards would be counted."""
    backbone.set_attn_implementation("segments")
    return True


def forwards(monkeypatch, most=99):
    """The device and number of responses of each forward from here on; a kill comes in the one after so many."""
    seen = []

    def shared(model, ids, owners):
        if len(seen) == most:
            raise KeyboardInterrupt
        seen.append((model.device.type, len(ids)))
        return SHARED(model, ids, owners)

    monkeypatch.setattr(classifier_scores, "_shared", shared)
    monkeypatch.setattr(classifier_scores, "choose_sharing", choose_row)
    return seen


def test_a_reward_model_runs_on_the_device_of_the_runtime(stage, classifier, monkeypatch):
    monkeypatch.setattr("apm_exp.runtime.device.count_gpus", lambda: 1)
    seen = forwards(monkeypatch)
    assert stage(classifier)[0]["responses"] == 5
    assert seen == [("cpu", 2), ("cpu", 2), ("cpu", 1)]


@pytest.mark.parametrize("done", [1, 2])
def test_a_killed_reward_model_goes_on_and_ends_with_the_same_file(
    stage, classifier, monkeypatch, tmp_path, caplog, done
):
    stage(classifier)
    whole = (tmp_path / "rewards.parquet").read_bytes()
    (tmp_path / "rewards.parquet").unlink()
    forwards(monkeypatch, most=done)
    with pytest.raises(KeyboardInterrupt):
        stage(classifier)
    seen = forwards(monkeypatch)
    with caplog.at_level(logging.INFO, "apm_exp"):
        stage(classifier)
    assert [size for _, size in seen] == [2, 2, 1][done:]
    assert f"{2 * done} of 5 different responses were scored before" in caplog.text
    assert (tmp_path / "rewards.parquet").read_bytes() == whole
    assert not (tmp_path / "scored").exists()


def test_another_batch_size_after_a_kill_scores_only_the_rest(stage, classifier, monkeypatch):
    _, whole = stage(classifier)
    forwards(monkeypatch, most=1)
    with pytest.raises(KeyboardInterrupt):
        stage(classifier)
    seen = forwards(monkeypatch)
    _, table = stage(classifier | {"batch_size": 4})
    assert [size for _, size in seen] == [1, 2]  # the responses of a row stay together
    for name in ("chosen_reward", "rejected_reward"):
        assert table[name].to_pylist() == pytest.approx(whole[name].to_pylist(), abs=1e-5)


def test_pairs_whose_rewards_contradict_the_label_are_counted(stage):
    counts, _ = stage(RECORDED, recorded_a=(2.5, 2.0, 1.0), recorded_b=(4.0, 4.0))
    assert (counts["inverted"], counts["tied"]) == (1, 1)


def test_unknown_reward_of_another_response_stays_unknown(stage):
    counts, table = stage(RECORDED, recorded_a=(0.5, 2.0, math.nan))
    assert counts == {"pairs": 2, "responses": 4, "inverted": 0, "tied": 0}
    assert math.isnan(table["all_rewards"].to_pylist()[0][2])


@pytest.mark.parametrize("bad", [(0.5, math.nan, 1.0), (math.inf, 2.0, 1.0), (0.5, 2.0, -math.inf)])
def test_reward_that_is_not_finite_names_the_pair(stage, bad, tmp_path):
    with pytest.raises(ValueError, match=r"1 of 2 pairs have a reward that is not finite \(pair_id a\); correct"):
        stage(RECORDED, recorded_a=bad)
    assert not (tmp_path / "rewards.parquet").exists()


def test_a_pair_without_recorded_rewards_has_nulls_and_is_counted(stage):
    counts, table = stage(RECORDED, recorded_a=None)
    assert counts == {"pairs": 2, "responses": 2, "inverted": 0, "tied": 0, "unrewarded": 1}
    assert table.to_pydict() == {
        "pair_id": ["a", "b"],
        "chosen_reward": [None, 4.0],
        "rejected_reward": [None, -1.0],
        "all_rewards": [None, [-1.0, 4.0]],
    }
    assert stage(RECORDED, recorded_b=None)[1]["chosen_reward"].to_pylist() == [2.0, None]


def test_no_recorded_rewards_are_nulls_and_a_count(stage):
    counts, table = stage(RECORDED, recorded_a=None, recorded_b=None)
    assert counts == {"pairs": 2, "responses": 0, "inverted": 0, "tied": 0, "unrewarded": 2}
    assert table["chosen_reward"].null_count == table["all_rewards"].null_count == 2


def test_source_that_gives_another_number_of_rewards(stage):
    with pytest.raises(ValueError, match=r"not one reward for each response \(pair_id a, b\)"):
        stage({"_target_": f"{__name__}.too_few"})


def equal(responses: pa.Table) -> list[list[float]]:
    return [[0.5] * len(texts) for texts in responses["responses"].to_pylist()]


def test_rewards_that_are_all_equal_rank_nothing(stage):
    problem = r"^reward\._target_=.*equal: gives all 5 responses the same reward, 0\.5; check its settings, use another"
    with pytest.raises(ValueError, match=problem):
        stage({"_target_": f"{__name__}.equal"})
    counts, _ = stage(RECORDED, recorded_a=(0.5, 0.5, 0.5), recorded_b=(0.5, 0.5))
    assert counts["tied"] == 2


def with_parts(responses: pa.Table) -> dict[str, list[list[float]]]:
    rows = lengths(responses)
    return {"half": [[reward / 2 for reward in row] for row in rows], "all_rewards": rows}


def with_a_taken_name(responses: pa.Table) -> dict[str, list[list[float]]]:
    return {"all_rewards": lengths(responses), "pair_id": lengths(responses)}


def test_further_columns_of_a_source(stage):
    _, table = stage({"_target_": f"{__name__}.with_parts"})
    assert table.column_names[-2:] == ["all_rewards", "half"]
    for whole, half in zip(table["all_rewards"].to_pylist(), table["half"].to_pylist(), strict=True):
        assert half == [reward / 2 for reward in whole]
    with pytest.raises(ValueError, match=r"the columns that it returns must include all_rewards, and none of chosen_"):
        stage({"_target_": f"{__name__}.with_a_taken_name"})
