import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.evals.estimate import mean, share
from apm_exp.evals.held_out_pairs import scores
from apm_exp.models.load import load_model
from apm_exp.models.pair_forward import pair_forward
from apm_exp.report.compare.outcomes import read_outcomes
from tests.training.cases import logps_table, runtime

NODE = {"_target_": "apm_exp.evals.held_out_pairs.held_out_pairs", "confidence": 0.95}


def evaluated(folder, policy, table, prompts=range(12)):
    """The scores. prompts: the text of each pair's prompt, a number."""
    messages = [[{"role": "user", "content": str(prompt)}] for prompt in prompts]
    columns = {"pair_id": table["pair_id"], "prompt": messages, "holdout_rank": table["holdout_rank"]}
    for name, one in (("logps", table), ("pairs", pa.table(columns))):
        (folder / name).mkdir()
        pq.write_table(one, folder / name / f"{name}.parquet")
    pairs, logps = (Artifact(name, folder / name, "k", {"prompts": 0}, 0.0) for name in ("pairs", "logps"))
    component.bind("evals", NODE)(folder, policy, pairs, logps, 0.0, runtime())
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


def test_standard_errors_are_over_prompts(tmp_path, tiny_policy, tiny_pairs):
    """Pairs 0 to 3, 4 to 7 and 8 to 11 have a prompt each."""
    table = logps_table(tiny_pairs, [(-1.0, -1.0)] * 12, ["held_out"] * 12)
    found = evaluated(tmp_path, tiny_policy, table, [index // 4 for index in range(12)])
    margin = pq.read_table(tmp_path / "evaluation.parquet")["margin"].to_numpy()
    record = found["held_out_margin"]
    assert (record["n"], record["prompts"]) == (12, 3)
    assert record["value"] == pytest.approx(margin.mean())
    assert record["standard_error"] == pytest.approx(margin.reshape(3, 4).mean(axis=1).std(ddof=1) / 3**0.5)
    prompts = read_outcomes(tmp_path, "held_out_margin").prompt_N.to_pylist()
    assert [prompts.index(prompt) // 4 for prompt in prompts] == [index // 4 for index in range(12)]


@pytest.mark.parametrize("held_out", [0, 1])
def test_too_few_held_out_prompts_give_no_scores_and_a_warning(tmp_path, tiny_policy, tiny_pairs, held_out, caplog):
    splits = ["held_out"] * held_out + ["train"] * (12 - held_out)
    with caplog.at_level(logging.WARNING):
        found = evaluated(tmp_path, tiny_policy, logps_table(tiny_pairs, [(-1.0, -1.0)] * 12, splits))
    assert found == {}
    assert f"{held_out} held-out prompts are too few for scores" in caplog.text
    assert len(pq.read_table(tmp_path / "evaluation.parquet")) == 0


def test_ties_count_half():
    columns = {"margin": np.array([1.0, 0.0, -1.0, 2.0])}
    columns |= {"starting_margin": np.zeros(4), "log_ratio_margin": np.array([-1.0, -2.0, -3.0, 0.0])}
    found = scores(columns, list("abcd"), 0.95)
    assert found["held_out_accuracy"]["value"] == (1 + 0.5 + 0 + 1) / 4
    assert found["starting_held_out_accuracy"]["value"] == 0.5
    assert found["held_out_log_ratio_accuracy"]["value"] == 0.125


def test_wilsons_interval_by_hand():
    """8 of 10 at 95% (Wilson, 1927): 0.490 to 0.943."""
    record = share(np.array([1.0] * 8 + [0.0] * 2), np.arange(10), 0.95)
    assert record["interval"] == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert record["standard_error"] == pytest.approx((0.8 * 0.2 / 9) ** 0.5)
    low, high = share(np.ones(20), np.arange(20), 0.95)["interval"]
    assert 0.8 < low < high == 1.0


def test_t_interval_by_hand():
    """1, 2, 3, 4: mean 2.5, standard deviation 1.29099, error 0.645497; t of 3 degrees of freedom 3.182446."""
    record = mean(np.array([1.0, 2.0, 3.0, 4.0]), np.arange(4), 0.95, "nats per token")
    assert record == {
        "value": 2.5,
        "standard_error": pytest.approx(0.645497, abs=1e-6),
        "n": 4,
        "interval": pytest.approx([2.5 - 3.182446 * 0.645497, 2.5 + 3.182446 * 0.645497], abs=1e-5),
        "unit": "nats per token",
    }


def test_pairs_of_a_prompt_that_agree_count_once():
    """8 of 10 prompts, each with four pairs of the same outcome: Wilson's interval of 9.23 values."""
    wins, prompt_N = np.repeat([1.0] * 8 + [0.0] * 2, 4), np.repeat(np.arange(10), 4)
    record = share(wins, prompt_N, 0.95)
    assert (record["value"], record["n"], record["prompts"]) == (0.8, 40, 10)
    assert record["standard_error"] == pytest.approx((0.8 * 0.2 / 9) ** 0.5)
    # A variance of 40/39 * 0.16 over the standard error's square, 0.16 / 9.
    z, n = 1.959964, 40 / 39 * 9
    width = z * (0.16 / n + z * z / (4 * n * n)) ** 0.5
    low, high = ((0.8 + z * z / (2 * n) + sign * width) / (1 + z * z / n) for sign in (-1, 1))
    assert record["interval"] == pytest.approx([low, high], abs=1e-5)


def test_pairs_of_a_prompt_that_differ_count_no_more_than_all():
    record = share(np.array([1.0, 0.0] * 10), np.repeat(np.arange(10), 2), 0.95)
    assert record["standard_error"] == 0
    assert record["interval"] == pytest.approx([0.2993, 0.7007], abs=1e-4)  # Wilson's of 10 of 20


def test_where_all_agree_there_are_as_many_values_as_prompts():
    record = share(np.ones(40), np.repeat(np.arange(20), 2), 0.95)
    assert record["interval"] == share(np.ones(20), np.arange(20), 0.95)["interval"]
