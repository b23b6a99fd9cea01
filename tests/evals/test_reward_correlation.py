"""Correlations of rewards and ratings, against scipy and by hand; the bootstrap is over prompts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from apm_exp.core.artifact import Artifact
from apm_exp.evals.reward_correlation import reward_correlation


def evaluated(folder: Path, ratings: list[list[float]], columns: dict[str, Any]) -> dict[str, Any]:
    names = [f"p{number}" for number in range(len(ratings))]
    pq.write_table(pa.table({"prompt_id": names, "ratings": ratings}), folder / "generations.parquet")
    lists = {name: pa.array(each, pa.list_(pa.float64())) for name, each in columns.items()}
    pq.write_table(pa.table({"prompt_id": names, **lists}), folder / "rewards.parquet")
    artifact = Artifact("rated", folder, "k", {}, 0.0)
    reward_correlation(folder, artifact, artifact, confidence=0.95, resamples=200, seed=0)
    scores: dict[str, Any] = json.loads((folder / "scores.json").read_text())
    return scores


def test_equal_to_scipy_with_ties(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    ratings = random.integers(1, 6, (40, 3)).astype(float)
    rewards = np.round(ratings + random.normal(0, 1.5, ratings.shape), 1)
    scores = evaluated(tmp_path, ratings.tolist(), {"all_rewards": rewards.tolist(), "clear": (-rewards).tolist()})
    x, y = rewards.ravel(), ratings.ravel()
    assert scores["reward_pearson"]["value"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert scores["reward_spearman"]["value"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert scores["reward_kendall"]["value"] == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert scores["clear_spearman"]["value"] == pytest.approx(-scores["reward_spearman"]["value"], abs=1e-12)
    for record in scores.values():
        low, high = record["interval"]
        assert low < record["value"] < high
        assert (record["n"], record["prompts"]) == (120, 40)
    independent = (1 - stats.pearsonr(x, y).statistic ** 2) / 120**0.5
    assert scores["reward_pearson"]["standard_error"] == pytest.approx(independent, rel=0.5)


def test_responses_without_rewards_and_equal_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scores = evaluated(tmp_path, [[1], [2], [9], [3]], {"all_rewards": [[1], [2], None, [5]]})
    assert scores["reward_spearman"]["value"] == pytest.approx(1.0)
    assert scores["reward_spearman"]["n"] == 3
    assert "1 of 4 responses have no reward and are left out" in caplog.text
    with pytest.raises(ValueError, match=r"^reward: the ratings of all 2 responses are equal.*; give other data"):
        evaluated(tmp_path, [[1], [1]], {"all_rewards": [[1], [2]]})
    with pytest.raises(ValueError, match=r"^reward: the rewards of all 2 responses are equal.*; give other data"):
        evaluated(tmp_path, [[1], [2]], {"all_rewards": [[1], [1]]})
