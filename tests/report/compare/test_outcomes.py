"""Outcomes read from an evaluation's file and laid side by side by their items."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from apm_exp.core.files import write_parquet
from apm_exp.report.compare.outcomes import Outcomes, compared_scores, read_outcomes, side_by_side


def write(folder: Path, **columns: list[object]) -> Path:
    write_parquet(pa.table(columns), folder / "evaluation.parquet")
    return folder


def test_a_score_is_read_from_the_column_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, prompt=["a", "b", "c"], texts=[["x"]] * 3, judged=[1, 0, None])
    found = read_outcomes(tmp_path, "judged")
    assert (found.item_N.to_pylist(), found.value_N.tolist(), found.items) == (["a", "b"], [1.0, 0.0], "prompts")
    assert compared_scores(tmp_path, ["judged", "starting_judged", "length"]) == ["judged"]


def test_items_know_their_prompts(tmp_path: Path) -> None:
    messages = [[{"role": "user", "content": text}] for text in "xyx"]
    write(tmp_path, pair_id=["a", "b", "c"], prompt=messages, margin=[1.0, None, 2.0])
    found = read_outcomes(tmp_path, "margin")
    assert (found.item_N.to_pylist(), found.value_N.tolist(), found.items) == (["a", "c"], [1.0, 2.0], "pairs")
    assert found.prompt_N[0] == found.prompt_N[1]
    write(tmp_path, pair_id=["a", "b", "c"], margin=[1.0, 2.0, 3.0])
    assert len(set(read_outcomes(tmp_path, "margin").prompt_N.to_pylist())) == 3


def test_what_the_file_lacks_is_said(tmp_path: Path) -> None:
    write(tmp_path, prompt=["a", "b"], margin=[1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"has no column 'win_rate', only prompt, margin; .* must write one value per item"
    ):
        read_outcomes(tmp_path, "win_rate")


def test_items_that_cannot_be_told_apart_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, prompt=["a", "a"], judged=[1.0, 2.0])
    with pytest.raises(ValueError, match="'prompt' has a repeated value"):
        read_outcomes(tmp_path, "judged")


def test_outcomes_meet_by_their_items() -> None:
    first = Outcomes(pa.array(["b", "a"]), pa.array(["y", "x"]), np.array([2.0, 1.0]), "pairs")
    second = Outcomes(pa.array(["c", "b", "d"]), pa.array(["y", "y", "z"]), np.array([30.0, 20.0, 40.0]), "pairs")
    found, prompt_N = side_by_side([first, None, second])
    np.testing.assert_array_equal(found, [[2, 1, np.nan, np.nan], [np.nan] * 4, [20, np.nan, 30, 40]])
    assert prompt_N.tolist() == [0, 1, 0, 2]
