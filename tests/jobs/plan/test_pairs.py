"""How many pairs there are and how long they are, before any is read."""

from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.files import write_jsonl
from apm_exp.data.sources import jsonl
from apm_exp.data.sources.hub import about_rows
from apm_exp.data.sources.jsonl import mean_pair
from apm_exp.jobs.plan.pairs import about_counts, pairs_of
from apm_exp.pipeline.flops import ASSUMED
from tests.pipeline.test_graph import steps_of
from tests.test_configs import compose

GEMMA = "princeton-nlp/gemma2-ultrafeedback-armorm"


def test_about_how_many_rows_a_data_set_of_the_hub_has() -> None:
    assert about_rows(path=GEMMA, split="train", holdout_split="test") == (59_600, 1_940)
    assert about_rows(path=GEMMA, split="train", limit=1_000) == (1_000, 0)
    assert about_rows(path=GEMMA, split="train", holdout_split="test", limit=1_950) == (1_950, 1_940)
    assert about_rows(path="mine/pairs", split="train") == (None, 0)
    assert about_rows(path="mine/pairs", split="train", holdout_split="test", limit=70) == (70, 70)


def write(file: Path, *rows: dict[str, Any]) -> str:
    write_jsonl(rows, file)
    return str(file)


def test_the_mean_pair_of_texts_and_of_conversations(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "p" * 40}
    conversations = [[turn, {"role": "assistant", "content": text}] for text in ("c" * 80, "r" * 120)]
    rows = [
        {"prompt": "p" * 80, "chosen": "c" * 160, "rejected": "r" * 40},
        {"chosen": conversations[0], "rejected": conversations[1]},
        {"text": "no pair"},
    ]
    found = mean_pair(path=write(tmp_path / "pairs.jsonl", *rows))
    assert found == ((80 + 40) / 2 / 4, (160 + 80) / 2 / 4, (40 + 120) / 2 / 4)
    assert mean_pair(path=write(tmp_path / "none.jsonl", {"text": "no pair"})) is None


def test_the_mean_pair_of_columns_that_are_renamed(tmp_path: Path) -> None:
    row = {"question": "p" * 8, "preferred_output": "c" * 16, "non_preferred_output": "r" * 12}
    assert mean_pair(path=write(tmp_path / "pairs.jsonl", row)) == (2, 4, 3)


def test_a_file_is_read_once_for_the_checks_and_the_mean_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"prompt": "p" * 8, "chosen": "c" * 8, "rejected": "r" * 8}
    path = write(tmp_path / "pairs.jsonl", *[row] * 150)
    read = []
    rows_of = jsonl.rows_of
    monkeypatch.setattr(jsonl, "rows_of", lambda file: (read.append(each.source) or each for each in rows_of(file)))
    assert len(list(jsonl.first_rows(100, path=path))) == 100
    assert mean_pair(path=path) == mean_pair(path=path) == (2, 2, 2)
    assert len(read) == len(set(read)) <= 101
    write(Path(path), row | {"chosen": "c" * 80})
    assert mean_pair(path=path) == (2, 20, 2)


def test_counts_and_lengths_of_pairs_that_are_not_here() -> None:
    options = ("model=micro_world", "dataset=hub", f"dataset.path={GEMMA}", "dataset.revision=" + "0" * 40)
    config, steps = compose(*options), steps_of(*options)
    known = {steps["pairs"].key: about_counts(steps["pairs"], config)}
    assert known == {steps["pairs"].key: {"pairs": 59_600, "train": 59_600}}
    pairs = pairs_of(config, {"pairs": steps["pairs"]}, known)
    assert pairs.mean == ASSUMED
    assert pairs.held_out == 59_600 * 0.05
    config["runtime"] |= {"plan_pair": [1, 2, 3]}
    assert pairs_of(config, {"pairs": steps["pairs"]}, known).mean == (1, 2, 3)


def test_lengths_that_the_tokens_settings_allow(tmp_path: Path) -> None:
    options = ("model=micro_world", "dataset=hub", f"dataset.path={GEMMA}", "dataset.revision=" + "0" * 40)
    limits = ("tokens.max_length=300", "tokens.max_prompt_length=150")
    steps = steps_of(*options, *limits)
    logps = steps["logps"]
    mean = pairs_of(compose(*options, *limits), {"logps": logps}, {}).mean
    assert mean == (150, 299, 299)
