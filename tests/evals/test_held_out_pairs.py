import json
import logging

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from apm_exp import component
from apm_exp.artifact import Artifact
from apm_exp.evals.estimate import mean, share
from apm_exp.evals.held_out_pairs import scores
from apm_exp.models.load import load_model
from apm_exp.pair_forward import pair_forward
from tests.training.cases import logps_table, runtime

NODE = {"_target_": "apm_exp.evals.held_out_pairs.held_out_pairs", "confidence": 0.95}


def evaluated(folder, policy, table):
    (folder / "logps").mkdir()
    pq.write_table(table, folder / "logps" / "logps.parquet")
    logps = Artifact("logps", folder / "logps", "k", {}, 0.0)
    component.bind("evals", NODE)(folder, policy, logps, runtime())
    return json.loads((folder / "scores.json").read_text())


def test_margins_of_the_policy_and_of_the_stored_starting_policy(tmp_path, tiny_policy, tiny_pairs):
    """The starting policy found 1 nat a token between the answers of every pair; pair 0 was not held out."""
    stored = [(-1.0 * len(pair.chosen_ids), -2.0 * len(pair.rejected_ids)) for pair in tiny_pairs]
    table = logps_table(tiny_pairs, stored, ["train"] + ["held_out"] * 11)
    found = evaluated(tmp_path, tiny_policy, table)
    with torch.inference_mode():
        logps = pair_forward(load_model(tiny_policy, "cpu"), tiny_pairs[1:])
    margin = (logps.chosen_logp_B / logps.chosen_len_B - logps.rejected_logp_B / logps.rejected_len_B).numpy()
    assert {record["n"] for record in found.values()} == {11}
    assert found["held_out_margin"]["value"] == pytest.approx(margin.mean(), abs=1e-5)
    assert found["held_out_margin"]["standard_error"] == pytest.approx(margin.std(ddof=1) / 11**0.5, abs=1e-5)
    assert found["held_out_accuracy"]["value"] == pytest.approx((margin > 0).mean())
    assert found["starting_held_out_margin"]["value"] == pytest.approx(1.0)
    assert found["starting_held_out_accuracy"]["value"] == 1.0
    assert found["held_out_log_ratio_margin"]["value"] == pytest.approx(margin.mean() - 1, abs=1e-5)
    assert next(iter(found)) == "held_out_accuracy"
    rows = pq.read_table(tmp_path / "evaluation.parquet")
    assert rows["pair_id"].to_pylist() == [f"p{index:02d}" for index in range(1, 12)]
    np.testing.assert_allclose(rows["margin"].to_numpy(), margin, atol=1e-5)
    for name, record in found.items():  # each score's outcomes are in the column of its name
        assert rows[name].to_numpy().mean() == pytest.approx(record["value"])


@pytest.mark.parametrize("held_out", [0, 1])
def test_too_few_held_out_pairs_give_no_scores_and_a_warning(tmp_path, tiny_policy, tiny_pairs, held_out, caplog):
    splits = ["held_out"] * held_out + ["train"] * (12 - held_out)
    with caplog.at_level(logging.WARNING):
        found = evaluated(tmp_path, tiny_policy, logps_table(tiny_pairs, [(-1.0, -1.0)] * 12, splits))
    assert found == {}
    assert f"{held_out} held-out pairs, so no scores" in caplog.text
    assert len(pq.read_table(tmp_path / "evaluation.parquet")) == 0


def test_ties_count_half():
    columns = {"margin": np.array([1.0, 0.0, -1.0, 2.0])}
    columns |= {"starting_margin": np.zeros(4), "log_ratio_margin": np.array([-1.0, -2.0, -3.0, 0.0])}
    found = scores(columns, 0.95)
    assert found["held_out_accuracy"]["value"] == (1 + 0.5 + 0 + 1) / 4
    assert found["starting_held_out_accuracy"]["value"] == 0.5
    assert found["held_out_log_ratio_accuracy"]["value"] == 0.125


def test_wilsons_interval_by_hand():
    """8 of 10 at 95% (Wilson, 1927): 0.490 to 0.943."""
    record = share(np.array([1.0] * 8 + [0.0] * 2), 0.95)
    assert record["interval"] == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert record["standard_error"] == pytest.approx((0.8 * 0.2 / 9) ** 0.5)
    low, high = share(np.ones(20), 0.95)["interval"]
    assert 0.8 < low < high == 1.0


def test_normal_interval_by_hand():
    """1, 2, 3, 4: mean 2.5, standard deviation 1.29099, standard error 0.645497."""
    record = mean(np.array([1.0, 2.0, 3.0, 4.0]), 0.95, "nats per token")
    assert record == {
        "value": 2.5,
        "standard_error": pytest.approx(0.645497, abs=1e-6),
        "n": 4,
        "interval": pytest.approx([2.5 - 1.959964 * 0.645497, 2.5 + 1.959964 * 0.645497], abs=1e-5),
        "unit": "nats per token",
    }
