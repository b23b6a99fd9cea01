"""A plan of models that are not here, on a laptop without a network."""

import json
import re
from pathlib import Path

import pytest

from tests.command import apm_exp


@pytest.fixture(scope="module")
def table3(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("table3")
    options = ("deepspeed=zero3", "trainer.gradient_checkpointing=true")
    result = apm_exp(root, "sweeps=table3", "task=plan", "runtime.plan_for=8xh100", *options)
    assert result.returncode == 0, result.stderr
    assert list(root.iterdir()) == []
    return result.stdout


def row(shown: str, name: str) -> str:
    return next(line for line in shown.splitlines() if line.startswith(name))


def hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"


def test_the_operations_and_times_of_table_3(table3: str) -> None:
    """Three scorings and four trainings, worked out in docs/performance.md."""
    gemma, llama = 2 * 9.2417e9 * 1000 + 2.34e11, 2 * 7.5049e9 * 1000 + 1.78e11
    scoring = 61_540 * gemma + 2 * 61_860 * llama
    training = 4 * (2 * 23_840 * gemma + 2 * 23_960 * llama)
    for name, flops in (("logps", scoring), ("policy", training)):
        found = re.search(r"([\d.]+) EFLOP +(\d+) min", row(table3, f"{name} "))
        assert found is not None
        assert float(found[1]) == pytest.approx(flops / 1e18, rel=0.01)
        assert int(found[2]) == pytest.approx(flops / (0.4 * 989e12 * 8) / 60, abs=0.6)


def test_disk_and_memory_of_table_3(table3: str) -> None:
    last = table3.splitlines()[-1]
    assert "of it weights to download" in last
    assert "disk: 0 bytes" not in table3
    size = re.search(r"disk: (\d+) GiB", last)
    assert size is not None
    # Two Gemmas and two Llamas trained, both downloaded, and four checkpoints of 14 bytes a weight at a time, at most.
    weights = 2 * (3 * 9.24e9 + 3 * 8.03e9) / 2**30
    assert weights < int(size[1]) < weights + 4 * 14 * 9.24e9 / 2**30
    assert "9,241,705,984 parameters" in table3
    assert "a mean pair: 1,000 tokens, a prompt of 200, responses of 400 and 400 (assumed; " in table3
    assert "for 8 x H100 SXM: 989 TFLOP/s" in table3
    assert "assumed: 40% of them are reached" in table3


def test_a_folder_with_config_json_alone_can_be_planned_but_not_run(tmp_path: Path) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 100, "tie_word_embeddings": True}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    pair = {"prompt": "a" * 40, "chosen": "b" * 80, "rejected": "c" * 160, "chosen_reward": 1.0, "rejected_reward": 0.0}
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(pair) for _ in range(20)))
    line = ("dataset=jsonl", "dataset.path=pairs.jsonl", "model=local", "model.path=model", "model.dtype=float32")
    planned = apm_exp(tmp_path, "task=plan", *line)
    assert planned.returncode == 0, planned.stderr
    assert "model.path=model: only its config.json is here; a run needs its weights too" in planned.stderr
    assert "a mean pair: 70 tokens, a prompt of 10, responses of 20 and 40 (as the data set tells; " in planned.stdout
    assert "expected: unknown" in planned.stdout
    assert "scoring" in planned.stdout
    run = apm_exp(tmp_path, *line)
    assert run.returncode == 2
    assert "model.path=model: no weights" in run.stderr


def test_a_device_to_plan_for_is_no_device_to_run_on(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "runtime.plan_for=h100")
    assert result.returncode == 2
    assert result.stderr == (
        "error: runtime.plan_for=h100: is for task=plan; write task=plan, or runtime.plan_for=null\n"
    )
