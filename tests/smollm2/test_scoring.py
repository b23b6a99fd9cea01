"""A real policy scores pairs at the surface: the tokens of its own template, the log-probs of its own forward."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from apm_exp.core.messages import read_messages
from apm_exp.core.types import Policy
from apm_exp.models.load import load_model, load_tokenizer
from tests.command import apm_exp, folders

pytestmark = pytest.mark.slow
PAIRS = Path(__file__).parent / "pairs.jsonl"
SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rows(smollm2: Policy, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of pairs.parquet with those of logps.parquet, of a run of the command line."""
    root = tmp_path_factory.mktemp("scoring")
    model = ("model=local", f"model.path={smollm2.folder}", "model.dtype=float32")
    result = apm_exp(root, "dataset=jsonl", f"dataset.path={PAIRS}", *model, "until=selection", "tracking=none")
    assert result.returncode == 0, result.stderr
    pairs, logps = (pq.read_table(folders(root, kind)[0] / f"{kind}.parquet") for kind in ("pairs", "logps"))
    texts = {row["pair_id"]: row for row in pairs.to_pylist()}
    return [texts[row["pair_id"]] | row for row in logps.to_pylist()]


def test_every_pair_is_scored(rows: Rows) -> None:
    assert len(rows) == len(PAIRS.read_text().splitlines()) == 20


def test_the_tokens_are_those_of_the_models_own_template(smollm2: Policy, rows: Rows) -> None:
    """The system turn that the template writes by itself, and the end token once, although it is the pad token too."""
    tokenizer = load_tokenizer(smollm2)
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>"
    for row in rows:
        prompt = read_messages(row["prompt"])
        own = prompt[0]["role"] == "system"
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True)["input_ids"]
        assert row["prompt_ids"] == ids
        assert tokenizer.decode(ids).startswith(SYSTEM) is not own
        for side in ("chosen", "rejected"):
            whole = tokenizer.apply_chat_template([*prompt, *read_messages(row[side])])["input_ids"]
            assert [*ids, *row[f"{side}_ids"], *tokenizer("\n")["input_ids"]] == whole
            assert row[f"{side}_ids"].count(tokenizer.eos_token_id) == 1


def test_the_log_probs_are_those_of_transformers_own_forward(smollm2: Policy, rows: Rows) -> None:
    """Within 1e-5 nats a token, with the softmax over 49,152 tokens in float64.

    That of torch in float32 alone is off by 1.7e-5 a token, and the scored log-probs by 5e-6.
    """
    model = load_model(smollm2, "cpu")
    for row, side in itertools.product(rows, ("chosen", "rejected")):
        ids = torch.tensor([[*row["prompt_ids"], *row[f"{side}_ids"]]])
        with torch.inference_mode():
            logp_TV = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
        expected = logp_TV.gather(-1, ids[0, 1:, None])[-row[f"{side}_len"] :].sum()
        assert row[f"{side}_logp"] == pytest.approx(float(expected), abs=1e-5 * row[f"{side}_len"])


def test_it_is_a_trained_model(rows: Rows) -> None:
    """A model that knows nothing gives a token ln(49152) = 10.8 nats."""
    logps = [row["chosen_logp"] / row["chosen_len"] for row in rows]
    assert -2.5 < sum(logps) / len(logps) < -0.5
