"""The parts of a reward by hand: two sources that agree on two of three pairs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.report.run.reward_parts import read_reward_parts
from apm_exp.report.run.reward_sources import length_slope, sources_section
from apm_exp.report.run.scored_pairs import ScoredPairs
from tests.report.finished_run import EXPLICIT

KEEP = {"_target_": "apm_exp.selection.keep.top_k.top_k", "k": 1}
CONFIG = {"reward": {"margin": "chosen_minus_rejected"}, "metric": EXPLICIT, "keep": KEEP}
FIRST = [[1.0, 0.0], [5.0, 2.0], [0.0, 2.0]]  # margins of a, b, c: 1, 3 and, as c's chosen response is its second, 2
SECOND = [[2.0, 0.0], [1.0, 2.0], [0.0, 4.0]]  # 2, -1, 4
LISTS = pa.list_(pa.float64())


@pytest.fixture
def scored() -> ScoredPairs:
    names, explicit = np.array(["a", "b", "c"]), np.array([1.5, 1.0, 3.0])
    lengths = np.array([10.0, 20.0, 30.0])
    return ScoredPairs(names, explicit, np.zeros(3), explicit, explicit == 3, lengths, np.zeros(3))


def pairs_in(folder: Path, sources: list[str]) -> Artifact:
    columns = {"pair_id": ["a", "b", "c"], "source": sources}
    columns |= {"chosen_index": pa.array([0, 0, 1], pa.int32()), "rejected_index": pa.array([1, 1, 0], pa.int32())}
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    return Artifact("pairs", folder, "k", {}, 0.0)


def rewards_in(folder: Path, ids: dict[str, list[str]], order: list[int], **parts: list) -> Artifact:
    folder.mkdir()
    columns = {name: pa.array([rows[place] for place in order], LISTS) for name, rows in parts.items()}
    pq.write_table(pa.table(ids | {"all_rewards": columns["first"]} | columns), folder / "rewards.parquet")
    return Artifact("rewards", folder, "k", {}, 0.0)


def test_margins_by_pair_and_by_prompt(tmp_path: Path, scored: ScoredPairs) -> None:
    pairs = pairs_in(tmp_path, ["g.parquet:3", "g.parquet:1", "g.parquet:2"])
    by_pair = rewards_in(tmp_path / "r", {"pair_id": ["a", "b", "c"]}, [0, 1, 2], first=FIRST, second=SECOND)
    by_prompt = rewards_in(tmp_path / "s", {"prompt_id": ["x", "y", "z"]}, [1, 2, 0], first=FIRST, second=SECOND)
    alone = rewards_in(tmp_path / "t", {"pair_id": ["a", "b", "c"]}, [0, 1, 2], first=FIRST)
    for shown in ({"rewards": by_pair}, {"rewards": alone, "response_rewards": by_prompt}):
        parts = read_reward_parts({"pairs": pairs, **shown}, scored)
        assert parts is not None
        assert parts.names == ["first", "second"]
        assert parts.margin_SP.tolist() == [[1, 3, 2], [2, -1, 4]]
    assert sources_section({"pairs": pairs, "rewards": alone}, scored, CONFIG) is None


def test_a_pair_without_rewards_is_left_out(tmp_path: Path, scored: ScoredPairs) -> None:
    pairs, second = pairs_in(tmp_path, ["f:1", "f:2", "f:3"]), [SECOND[0], None, SECOND[2]]
    rewards = rewards_in(tmp_path / "r", {"pair_id": ["a", "b", "c"]}, [0, 1, 2], first=FIRST, second=second)
    section = sources_section({"pairs": pairs, "rewards": rewards}, scored, CONFIG)
    assert section is not None
    assert (section["pairs"], section["overlap"]) == (2, None)


def test_the_section(tmp_path: Path, scored: ScoredPairs) -> None:
    pairs = pairs_in(tmp_path, ["f:1", "f:2", "f:3"])
    rewards = rewards_in(tmp_path / "r", {"pair_id": ["a", "b", "c"]}, [0, 1, 2], first=FIRST, second=SECOND)
    section = sources_section({"pairs": pairs, "rewards": rewards}, scored, CONFIG)
    assert section is not None
    first, second = section["rows"]
    assert (first["inverted"], second["inverted"], second["share"]) == (0, 1, 1 / 3)
    # margins 1, 3, 2 at lengths 10, 20, 30: (-10 x 1 + 10 x 2) / 200 a token, 5 for 100; deviation sqrt(2 / 3)
    assert first["slope"] == pytest.approx(5 / np.sqrt(2 / 3))
    # the best pair is c by the mixture and by `second`, and b by `first` alone: some draws keep another pair
    assert section["overlap"].lowest == 0
    assert 0 < section["overlap"].mean < 1
    assert "-0.50" in section["svg"]  # Spearman of 1, 3, 2 and 2, 1, 3
    assert "-0.33" in section["svg"]  # Kendall: one of three pairs is concordant


def test_a_slope_of_equal_lengths_is_0() -> None:
    assert length_slope(np.array([1.0, 2.0]), np.array([5.0, 5.0])) == 0
