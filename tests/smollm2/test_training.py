"""A few optimizer steps on a real policy, with all weights and with LoRA, at the command line."""

import math
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from apm_exp.core.types import Policy
from apm_exp.training.metrics_file import read_rows
from tests.command import apm_exp, folders

pytestmark = pytest.mark.slow
PAIRS = Path(__file__).parent / "pairs.jsonl"
SETTINGS = ("keep.fraction=0.8", "loss.beta=0.5", "trainer.global_batch=4", "trainer.epochs=2", "evals={}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of outputs: the pairs are read and scored once a dtype."""
    return tmp_path_factory.mktemp("training")


@pytest.mark.parametrize(
    ("dtype", "adapter", "learning_rate"),
    [("float32", "none", "1e-5"), ("float32", "lora", "3e-4"), ("bfloat16", "none", "1e-5")],
)
def test_eight_steps_lower_the_loss(root: Path, smollm2: Policy, dtype: str, adapter: str, learning_rate: str) -> None:
    before = set(folders(root, "policy"))
    data = ("dataset=jsonl", f"dataset.path={PAIRS}", "dataset.holdout=0", "tracking=none")
    model = ("model=local", f"model.path={smollm2.folder}", f"model.dtype={dtype}", f"adapter={adapter}")
    result = apm_exp(root, *data, *model, *SETTINGS, f"trainer.learning_rate={learning_rate}", "runtime=cpu")
    assert result.returncode == 0, result.stderr
    (folder,) = set(folders(root, "policy")) - before
    rows = read_rows(folder / "metrics.jsonl")
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 8
    # The reference itself. In bfloat16 a margin of 20 tokens starts with a noise of beta times 0.4 nats.
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4 if dtype == "float32" else 0.15)
    assert sum(losses[4:]) < 0.8 * sum(losses[:4])
    assert AutoModelForCausalLM.from_pretrained(folder / "final").num_parameters() == 134_515_008
