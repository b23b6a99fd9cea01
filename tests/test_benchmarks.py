"""What the benchmarks claim to compare: the peers compute the same numbers as we do, and the work is counted right."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from apm_exp.core.types import TokenizedPair
from tests.benchmarks import work, workload
from tests.benchmarks.contenders import OURS, PADDED, TRL
from tests.benchmarks.model_shape import random_llama
from tests.benchmarks.scoring_methods import scoring_method
from tests.benchmarks.table import Bar
from tests.benchmarks.training_methods import training_method

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 60,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return random_llama(TINY, torch.float32, "cpu")


@pytest.mark.parametrize("peer", [PADDED, TRL])
def test_peers_score_as_we_do(model: LlamaForCausalLM, tiny_pairs: list[TokenizedPair], peer: str) -> None:
    ours, theirs = (scoring_method(name, model, tokens_per_batch=64)(tiny_pairs) for name in (OURS, peer))
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("peer", [PADDED, TRL])
def test_peers_take_the_step_that_we_take(model: LlamaForCausalLM, tiny_pairs: list[TokenizedPair], peer: str) -> None:
    draw = random.Random(0)
    reference = [(draw.gauss(-20, 5), draw.gauss(-20, 5)) for _ in tiny_pairs]
    losses, gradients = [], []
    for name in (OURS, peer):
        losses.append(training_method(name, model)(tiny_pairs, reference).losses)
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert len(set(losses[0])) == 3  # batches of 4 of the 12 pairs, each of its own loss
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-4)


def test_work_by_hand() -> None:
    pair = TokenizedPair([1, 1], [1], [1, 1, 1])  # 6 tokens, 4 of answers
    assert work.layer_weights(TINY) == 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 == 7680
    assert work.visible_keys(pair) == (1 + 2) + 3 + (3 + 4 + 5)
    attention = 2 * 2 * 32 * 18  # two products in each of two layers
    assert work.forward_flops(TINY, [pair]) == 2 * (2 * 7680 * 6 + 32 * 60 * 4 + attention)
    assert work.step_flops(TINY, [pair, pair]) == 6 * work.forward_flops(TINY, [pair])


def test_padding_by_hand() -> None:
    short, long = TokenizedPair([1], [1], [1]), TokenizedPair([1, 1], [1], [1, 1])
    assert workload.padding([short, long], 2) == 4 * 4 / 8
    assert workload.padding([short, long], 1) == (2 * 2 + 2 * 4) / 8


def test_missing_pairs_name_the_option(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^--pairs \S+none.jsonl: no such file; .* with --pairs PATH$"):
        workload.read_pairs(tmp_path / "none.jsonl")


def test_pairs_are_read_as_tokens(tmp_path: Path) -> None:
    first, second = "a b c a b c", "d e f d e f g"
    turns = {
        name: [{"role": "user", "content": "Say."}, {"role": "assistant", "content": text}]
        for name, text in (("chosen", first), ("rejected", second))
    }
    row = {"prompt": "Say.", "all_generated_responses": [first, second], **turns}
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (pair,) = workload.read_pairs(file)
    assert pair.prompt_ids
    assert pair.chosen_ids != pair.rejected_ids


def test_a_bar_is_kept_at_its_limit() -> None:
    assert [Bar("", value, 3.0, True).verdict for value in (2.9, 3.0)] == ["missed", "within"]
    assert [Bar("", value, 3.0, False).verdict for value in (3.0, 3.1)] == ["within", "missed"]
