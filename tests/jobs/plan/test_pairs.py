"""How many pairs there are and how long they are, before any is read."""

from pathlib import Path

from apm_exp.data.sources.hub import about_rows
from apm_exp.data.sources.mean_pair import mean_pair_of
from apm_exp.data.sources.rows import SourceRow
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


def test_the_mean_pair_of_texts_and_of_conversations() -> None:
    turn = {"role": "user", "content": "p" * 40}
    conversations = [[turn, {"role": "assistant", "content": text}] for text in ("c" * 80, "r" * 120)]
    rows = [
        {"prompt": "p" * 80, "chosen": "c" * 160, "rejected": "r" * 40},
        {"chosen": conversations[0], "rejected": conversations[1]},
        {"text": "no pair"},
    ]
    found = mean_pair_of(SourceRow(f"f:{number}", row, None) for number, row in enumerate(rows))
    assert found == ((80 + 40) / 2 / 4, (160 + 80) / 2 / 4, (40 + 120) / 2 / 4)
    assert mean_pair_of([SourceRow("f:1", {"text": "no pair"}, None)]) is None


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
