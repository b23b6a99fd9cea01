"""The accuracy of a reward source by hand: ties, margins, further columns, prompts with several pairs, no rewards."""

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import MESSAGES
from apm_exp.evals.reward_accuracy import reward_accuracy

NAN = float("nan")


def evaluated(folder: Path, prompts: str, lists: dict[str, list], index: tuple[int, int] = (0, 1)) -> tuple[Any, Any]:
    """scores.json and the rows of evaluation.parquet, of one pair per letter: its prompt."""
    folder.mkdir(exist_ok=True)
    names = [f"p{number}" for number in range(len(prompts))]
    sides = dict(zip(("chosen", "rejected"), index, strict=True))
    pairs = {"pair_id": names, **{f"{side}_index": [at] * len(names) for side, at in sides.items()}}
    messages = pa.array([[{"role": "user", "content": letter, "extra": None}] for letter in prompts], MESSAGES)
    pq.write_table(pa.table({**pairs, "prompt": messages}), folder / "pairs.parquet")
    values = {
        f"{side}_reward": pa.array([each and each[at] for each in lists["all_rewards"]], pa.float64())
        for side, at in sides.items()
    }
    columns = {name: pa.array(each, pa.list_(pa.float64())) for name, each in lists.items()}
    pq.write_table(pa.table({"pair_id": names, **values, **columns}), folder / "rewards.parquet")
    artifact = Artifact("pairs", folder, "k", {}, 0.0)
    reward_accuracy(folder, artifact, artifact, confidence=0.95)
    rows = pq.read_table(folder / "evaluation.parquet").to_pylist()
    return json.loads((folder / "scores.json").read_text()), rows


def test_by_hand(tmp_path: Path) -> None:
    """Margins 2, -1, 0, 1: right 1 + 0 + 1/2 + 1 of 4. Wilson's interval of 0.625 with n = 4, z = 1.959964."""
    rewards = {"all_rewards": [[3, 1], [0, 1], [5, 5], [1, 0]], "relevance": [[1, 0], [1, 0], [1, 1], [0, 1]]}
    scores, rows = evaluated(tmp_path, "abcd", rewards)
    assert list(scores) == ["reward_accuracy", "reward_tied", "reward_margin", "relevance_accuracy"]
    assert scores["reward_accuracy"]["value"] == 0.625
    assert scores["reward_accuracy"]["n"] == 4
    z = 1.959963984540054
    center, width = (0.625 + z * z / 8) / (1 + z * z / 4), z * (0.625 * 0.375 / 4 + z * z / 64) ** 0.5 / (1 + z * z / 4)
    assert scores["reward_accuracy"]["interval"] == pytest.approx([center - width, center + width], abs=1e-12)
    assert scores["reward_tied"]["value"] == 0.25
    assert scores["reward_margin"]["value"] == 0.5
    assert scores["relevance_accuracy"]["value"] == 0.625
    assert [row["reward_accuracy"] for row in rows] == [1.0, 0.0, 0.5, 1.0]
    assert [row["pair_id"] for row in rows] == ["p0", "p1", "p2", "p3"]


def test_the_responses_of_the_pair_are_compared(tmp_path: Path) -> None:
    scores, _ = evaluated(tmp_path, "ab", {"all_rewards": [[9, 1, 2], [0, 4, 3]]}, index=(2, 1))
    assert scores["reward_margin"]["value"] == 0.0  # 2 - 1 and 3 - 4
    assert scores["reward_accuracy"]["value"] == 0.5


def test_pairs_of_one_prompt_count_as_the_prompt_that_they_share(tmp_path: Path) -> None:
    """Outcomes 1, 1 of one prompt and 0, 0 of another: a standard error of 1/2, as of the two prompts' means."""
    scores, _ = evaluated(tmp_path, "aabb", {"all_rewards": [[1, 0], [1, 0], [0, 1], [0, 1]]})
    assert scores["reward_accuracy"]["standard_error"] == pytest.approx(0.5, abs=1e-12)
    assert scores["reward_accuracy"]["prompts"] == 2


def test_pairs_without_rewards_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        scores, rows = evaluated(
            tmp_path, "abc", {"all_rewards": [[1, 0], None, [1, 0]], "x": [[1, 0], None, [NAN, 0]]}
        )
    assert "1 of 3 pairs have no rewards and are left out" in caplog.text
    assert "x_accuracy: too few pairs" in caplog.text
    assert (len(rows), scores["reward_accuracy"]["n"]) == (2, 2)
    assert "x_accuracy" not in scores
    with pytest.raises(ValueError, match=r"^reward: 1 of 2 pairs have rewards, too few for an interval; give more"):
        evaluated(tmp_path / "few", "ab", {"all_rewards": [[1, 0], None]})
