"""What goes through a model in the steps of a job, against numbers that can be counted by hand."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.plan.duration import expected_seconds
from apm_exp.jobs.plan.forwards import Work, model_work
from apm_exp.pipeline.step import Step

CONFIG: dict[str, Any] = {
    "generate": {"samples": 5, "max_new_tokens": 9},
    "tokens": {"max_length": 30, "max_prompt_length": 20},
    "trainer": {"epochs": 2},
    "evals": {
        "held_out_pairs": {"_target_": "apm_exp.evals.held_out_pairs.held_out_pairs"},
        "win_rate": {"_target_": "x", "prompts": 4, "samples": 2, "max_new_tokens": 9},
        "other": {"_target_": "mine.other"},
    },
}
KNOWN = {"generations": {"responses": 50}, "logps": {"pairs": 10}, "policy": {"pairs": 3}}


def logps(out: Path) -> dict[str, int]:
    """Stage of the tests: three training pairs of 6, 9 and 12 tokens, and a held-out pair of 5."""
    lengths = {"a": (2, 2, 2), "b": (3, 4, 2), "c": (4, 4, 4), "d": (1, 2, 2)}
    rows = [
        {"pair_id": name, "split": "held_out" if name == "d" else "train"}
        | {part: [7] * n for part, n in zip(("prompt_ids", "chosen_ids", "rejected_ids"), each, strict=True)}
        for name, each in lengths.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), out / "logps.parquet")
    return {"pairs": 4, "tokens": 32}


def selection(out: Path) -> dict[str, int]:
    """Stage of the tests: a and c are kept."""
    kept = {"pair_id": ["a", "b", "c"], "kept": [True, False, True]}
    pq.write_table(pa.table(kept), out / "selection.parquet")
    return {"kept": 2}


VERSION = 1


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, Step]:
    digests = FileDigests(tmp_path / ".digests.json")
    return {stage.__name__: Step(stage.__name__, "s", stage, {}, tmp_path, digests) for stage in (logps, selection)}


def built(step: Step) -> None:
    from apm_exp.pipeline.build import build

    build(step)


def test_before_anything_is_built_there_are_bounds(steps: dict[str, Step]) -> None:
    # A prompt of 20 tokens and two answers of 10: sampled answers have 9 and an end.
    assert model_work("generations", steps, KNOWN, CONFIG) == Work(50, 450, exact=False)
    assert model_work("logps", steps, KNOWN, CONFIG) == Work(10, 400, exact=False)
    assert model_work("policy", steps, KNOWN, CONFIG) == Work(6, 240, exact=False)
    assert model_work("evaluation_held_out_pairs", steps, KNOWN, CONFIG) is None
    assert model_work("evaluation_win_rate", steps, KNOWN, CONFIG) == Work(16, 144, exact=False)
    assert model_work("evaluation_other", steps, KNOWN, CONFIG) is None
    assert model_work("pairs", steps, KNOWN, CONFIG) is None


def test_where_pairs_are_tokenised_the_longest_are_the_bound(steps: dict[str, Step]) -> None:
    built(steps["logps"])
    known = KNOWN | {"policy": {"pairs": 2}}
    assert model_work("logps", steps, known, CONFIG) == Work(4, 32, exact=True)
    assert model_work("policy", steps, known, CONFIG) == Work(4, 2 * (12 + 9), exact=False)
    assert model_work("evaluation_held_out_pairs", steps, known, CONFIG) == Work(1, 5, exact=True)


def test_where_pairs_are_selected_their_tokens_are_counted(steps: dict[str, Step]) -> None:
    built(steps["logps"])
    built(steps["selection"])
    known = KNOWN | {"policy": {"pairs": 2}}
    assert model_work("policy", steps, known, CONFIG) == Work(4, 2 * (6 + 12), exact=True)


def record(root: Path, name: str, seconds: float, **counts: int) -> None:
    folder = root / "logps" / name
    folder.mkdir(parents=True)
    write_sealed({"key": "k", "files": {}, "seconds": seconds, "counts": counts}, folder / "done")


def test_expected_seconds_grow_with_the_pairs_and_prefer_the_same_name(tmp_path: Path, steps: dict[str, Step]) -> None:
    assert expected_seconds(steps["selection"], {}) is None
    record(tmp_path, "other-01234567", 100.0, pairs=10)
    record(tmp_path, "s-01234567", 3.0, pairs=10)
    record(tmp_path, "s-89abcdef", 5.0, pairs=10)
    assert expected_seconds(steps["logps"], {"pairs": 20}) == 8.0  # the median of 3 and 5, for twice the pairs
    assert expected_seconds(steps["logps"], {}) == 4.0
