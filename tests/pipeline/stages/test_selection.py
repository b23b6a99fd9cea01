import logging
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core import sorted_parquet as ordered_parquet
from apm_exp.core.artifact import Artifact
from apm_exp.core.types import MissingRewards
from apm_exp.pipeline.stages.selection import foresee, selection
from apm_exp.selection.noise import said_of_rounding

MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": 2.0, "rescale": True}
IMPLICIT = {"_target_": "apm_exp.selection.metrics.implicit.implicit_reward_margin"}
UNIFORM = {"_target_": "apm_exp.selection.metrics.uniform.uniform", "seed": 0}
HALF = {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 0.5}


def an_artifact(folder, kind, columns):
    path = folder / kind
    path.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path / f"{kind}.parquet")
    return Artifact(kind=kind, path=path, key="k", counts={"pairs": len(columns["pair_id"]), "prompts": 4}, seconds=0.0)


@pytest.fixture
def world(tmp_path):
    """Five pairs: one is held out, one was refused when log-probs were computed."""
    pairs = {"pair_id": ["a", "b", "c", "held", "refused"], "holdout_rank": [0, 1, 2, -1, 3]}
    logps = {
        "pair_id": ["a", "b", "c", "held"],
        "holdout_rank": [0, 1, 2, -1],
        "chosen_logp": [-10.0, -2.0, -6.0, -99.0],
        "rejected_logp": [-12.0, -6.0, -4.0, -1.0],
        "chosen_len": pa.array([5, 2, 6, 1], pa.int32()),
        "rejected_len": pa.array([4, 2, 2, 1], pa.int32()),
    }
    rewards = {
        "pair_id": ["a", "b", "c", "held", "refused"],
        "chosen_reward": [1.0, 3.0, 5.0, 50.0, 0.0],
        "rejected_reward": [2.0, 0.0, 0.0, 0.0, 0.0],
        "all_rewards": [[1.0, 2.0], [3.0, 0.0, -2.0], [5.0, 0.0], [50.0, 0.0], [0.0, 0.0]],
    }
    tables = {"pairs": pairs, "logps": logps, "rewards": rewards}
    inputs = {kind: an_artifact(tmp_path, kind, columns) for kind, columns in tables.items()}
    settings = {
        "holdout": 0.0,
        "rewarded_only": True,
        "margin": "chosen_minus_rejected",
        "dtype": "float32",
        "metric": MAP,
        "keep": HALF,
    }
    return {"out": tmp_path, "rewarded_only": True} | settings | inputs


def without_rewards(world):
    """The rewards of a data set that brings none."""
    return replace(world["rewards"], counts={"pairs": 5, "unrewarded": 5})


def rows_of(folder):
    return pq.read_table(folder / "selection.parquet").to_pydict()


def test_pairs_without_rewards_are_left_out_where_others_have_some(world):
    rewards = world["rewards"]
    table = pq.read_table(rewards.path / "rewards.parquet")
    without = table.to_pylist()
    without[1] |= dict.fromkeys(["chosen_reward", "rejected_reward", "all_rewards"])
    pq.write_table(pa.Table.from_pylist(without, table.schema), rewards.path / "rewards.parquet")
    world["rewards"] = replace(rewards, counts={"pairs": 5, "unrewarded": 1})
    for margin in ("chosen_minus_rejected", "max_min"):
        counts = selection(**world | {"margin": margin, "metric": IMPLICIT})
        assert (counts["pairs"], counts["refused"]) == (2, 2)
        assert rows_of(world["out"])["pair_id"] == ["a", "c"]
        assert rows_of(world["out"])["explicit_margin"] == [1.0 if margin == "max_min" else -1.0, 5.0]
    assert sorted(path.name for path in world["out"].glob("*partial")) == []
    pq.write_table(
        pa.Table.from_pylist([row | dict.fromkeys(["chosen_reward"]) for row in without], table.schema),
        rewards.path / "rewards.parquet",
    )
    with pytest.raises(ValueError, match="none of the training pairs with log-probs has rewards"):
        selection(**world)


def test_pairs_without_rewards_stay_if_nothing_asks_for_rewards(world):
    world["rewards"] = replace(world["rewards"], counts={"pairs": 5, "unrewarded": 1})
    counts = selection(**world | {"metric": IMPLICIT, "rewarded_only": False})
    assert (counts["pairs"], counts["refused"]) == (3, 1)
    assert rows_of(world["out"])["explicit_margin"] == [None] * 3


def test_margins_terms_value_and_kept_by_hand(world, caplog):
    with caplog.at_level(logging.INFO, "apm_exp"):
        counts = selection(**world)
    rows = rows_of(world["out"])
    assert list(rows) == [
        *("pair_id", "explicit_margin", "implicit_margin"),
        *("explicit_term", "implicit_term", "value", "kept"),
    ]
    assert rows["pair_id"] == ["a", "b", "c"]
    assert rows["explicit_margin"] == [-1.0, 3.0, 5.0]
    assert rows["implicit_margin"] == [1.0, 2.0, 1.0]
    sigma_r, sigma_pi = np.std([1, 3, 5]), np.std([1, 2, 1])
    assert rows["explicit_term"] == pytest.approx([1 / sigma_r, 3 / sigma_r, 5 / sigma_r])
    assert rows["implicit_term"] == pytest.approx([2 / sigma_pi, 4 / sigma_pi, 2 / sigma_pi])
    assert rows["value"] == pytest.approx(np.subtract(rows["explicit_term"], rows["implicit_term"]))
    assert rows["kept"] == [False, False, True]
    assert counts == {"pairs": 3, "kept": 1, "refused": 1, "within_noise": 0}
    assert "kept 1 of 3 pairs" in caplog.text
    assert "rounding" not in caplog.text
    assert [path.name for path in world["out"].glob("*.p*")] == ["selection.parquet"]


def test_max_min_margin_looks_at_all_responses(world):
    selection(**world | {"margin": "max_min"})
    assert rows_of(world["out"])["explicit_margin"] == [1.0, 5.0, 5.0]


def test_without_rewards_the_column_is_null(world):
    selection(**world | {"rewards": without_rewards(world), "metric": IMPLICIT})
    table = pq.read_table(world["out"] / "selection.parquet")
    assert table["explicit_margin"].type == pa.float64()
    assert table["explicit_margin"].to_pylist() == [None] * 3
    assert table["kept"].to_pylist() == [True, False, False]  # a and c tie, and a comes first


def test_a_metric_that_needs_rewards_says_what_to_do(world):
    with pytest.raises(MissingRewards, match=r"metric\._target_=.*needs rewards.*metric=implicit"):
        selection(**world | {"rewards": without_rewards(world)})


def test_the_same_inputs_give_the_same_bytes(world):
    selection(**world)
    first = (world["out"] / "selection.parquet").read_bytes()
    selection(**world)
    assert (world["out"] / "selection.parquet").read_bytes() == first


@pytest.mark.parametrize("metric", [MAP, UNIFORM])
@pytest.mark.parametrize("at_once", [1, 2])
def test_reading_a_few_rows_at_a_time_changes_nothing(world, monkeypatch, metric, at_once):
    counts = selection(**world | {"metric": metric})
    expected = pq.read_table(world["out"] / "selection.parquet")
    monkeypatch.setattr(ordered_parquet, "ROWS_AT_ONCE", at_once)
    assert selection(**world | {"metric": metric}) == counts
    assert pq.read_table(world["out"] / "selection.parquet").equals(expected)


def test_rounding_that_could_be_less_is_told_with_the_setting():
    assert said_of_rounding(3, "float32").endswith("at most 3 of the kept pairs")
    assert said_of_rounding(3, "bfloat16").endswith("kept pairs; model.dtype=float32 computes them more exactly")
    assert said_of_rounding(3, "tf32").endswith("kept pairs; runtime.tf32=false computes them more exactly")


@pytest.mark.parametrize(("dtype", "noise", "replaceable"), [("float32", "1e-05", 0), ("bfloat16", "0.02", 1)])
def test_kept_pairs_within_the_noise_of_the_dtype_are_counted(world, tmp_path, caplog, dtype, noise, replaceable):
    close = pq.read_table(world["logps"].path / "logps.parquet").to_pydict()
    close["chosen_logp"][0] = -9.9  # implicit margins 1.02, 2 and 1: a comes 0.02 after c, which is kept
    changed = {"logps": an_artifact(tmp_path / "close", "logps", close), "metric": IMPLICIT, "dtype": dtype}
    with caplog.at_level(logging.INFO, "apm_exp"):
        assert selection(**world | changed)["within_noise"] == replaceable
    said = f"({noise} nats per token in {dtype}) could replace at most {replaceable} of the kept pairs"
    assert (said in caplog.text) == (replaceable > 0) == ("rounding" in caplog.text)


def test_rows_out_of_order_are_a_defect(world, tmp_path):
    logps = pq.read_table(world["logps"].path / "logps.parquet").take([1, 0, 2, 3])
    with pytest.raises(AssertionError, match=r"logps\.parquet: .* order of pair_id"):
        selection(**world | {"logps": an_artifact(tmp_path / "other", "logps", logps.to_pydict())})


def test_a_fraction_that_keeps_nothing_writes_nothing(world):
    with pytest.raises(ValueError, match=r"keep\.fraction=0\.1: would keep 0 of 3 pairs"):
        selection(**world | {"keep": HALF | {"fraction": 0.1}})
    assert not (world["out"] / "selection.parquet").exists()


def test_a_non_finite_log_prob_is_named(world, tmp_path):
    broken = pq.read_table(world["logps"].path / "logps.parquet").to_pydict()
    broken["chosen_logp"][0] = float("nan")
    with pytest.raises(ValueError, match=r"implicit margin is NaN or infinite .*\(pair_id a\)"):
        selection(**world | {"logps": an_artifact(tmp_path / "broken", "logps", broken)})


def test_log_probs_of_unknown_pairs_are_a_defect(world, tmp_path):
    fewer = {"pair_id": ["a", "b"], "holdout_rank": [0, 1]}
    with pytest.raises(AssertionError, match=r"pairs\.parquet lacks pairs"):
        selection(**world | {"pairs": an_artifact(tmp_path / "fewer", "pairs", fewer)})


def test_scored_pairs_without_rewards_are_a_defect(world, tmp_path):
    fewer = pq.read_table(world["rewards"].path / "rewards.parquet").slice(0, 2)
    with pytest.raises(AssertionError, match=r"rewards\.parquet lacks pairs"):
        selection(**world | {"rewards": an_artifact(tmp_path / "fewer", "rewards", fewer.to_pydict())})


def test_nothing_scored_is_an_error(world, tmp_path):
    none = pq.read_table(world["logps"].path / "logps.parquet").slice(3, 1)
    with pytest.raises(ValueError, match="none of the 4 training pairs has log-probs"):
        selection(**world | {"logps": an_artifact(tmp_path / "none", "logps", none.to_pydict())})


METRICS_OF_A_USER = """
import numpy as np

def too_short(scores):
    return {"value": np.zeros(2)}

def without_value(scores):
    return {"score": np.zeros(3)}

def overwriting(scores):
    return {"value": np.zeros(3), "kept": np.zeros(3)}
"""


@pytest.mark.parametrize("name", ["too_short", "without_value", "overwriting"])
def test_a_metric_with_wrong_columns_is_named(world, tmp_path, monkeypatch, name):
    (tmp_path / "metrics_of_a_user.py").write_text(METRICS_OF_A_USER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "metrics_of_a_user"})
    with pytest.raises(ValueError, match=rf"metric\._target_=metrics_of_a_user\.{name}: "):
        selection(**world | {"metric": {"_target_": f"metrics_of_a_user.{name}"}})


def test_the_stage_is_light_to_import():
    code = "import sys, apm_exp.pipeline.stages.selection as s; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_too_few_pairs_for_a_rule_are_named_before_they_are_scored(world):
    """Three training pairs are left, of which no rule may choose alpha."""
    pairs = world["pairs"]
    step = SimpleNamespace(key="pairs")
    inputs = {"pairs": step, "rewards": SimpleNamespace(key="rewards"), "keep": HALF, "holdout": 0.0}
    rule = {"_target_": "apm_exp.selection.alpha_rules.balanced.balanced"}
    foresee(inputs | {"metric": MAP}, {"pairs": pairs})
    with pytest.raises(ValueError, match=r"^alpha=auto: .*20"):
        foresee(inputs | {"metric": MAP | {"alpha": rule}}, {"pairs": pairs})
