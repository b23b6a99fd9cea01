"""The log-probs of pairs against the whole model's own logits, one response at a time."""

import random

import pytest
import torch
from torch.nn import Module
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from apm_exp import pair_forward as module
from apm_exp.pair_forward import ResponseLogps, pair_forward
from apm_exp.types import TokenisedPair

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def llama() -> Module:
    return LlamaForCausalLM(LlamaConfig(**SHAPE))


def gemma() -> Module:
    """Soft-caps that bite, and a window shorter than the text."""
    config = Gemma2Config(
        **SHAPE,
        sliding_window=6,
        query_pre_attn_scalar=8,
        final_logit_softcapping=0.5,
        attn_logit_softcapping=2.0,
        attn_implementation="eager",
    )
    return Gemma2ForCausalLM(config)


@pytest.fixture(params=[llama, gemma], ids=["llama", "gemma2"])
def model(request: pytest.FixtureRequest) -> Module:
    torch.manual_seed(0)
    return request.param().eval()


def plain(model: Module, prompt: list[int], response: list[int]) -> torch.Tensor:
    """log_softmax of the full logits of one sequence, summed over the response."""
    ids = torch.tensor([prompt + response])
    logps = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
    return logps[-len(response) :].sum()


def stacked(logps: ResponseLogps) -> torch.Tensor:
    return torch.stack([logps.chosen_logp_B, logps.rejected_logp_B], 1)


def test_equals_the_full_logits_of_one_response_at_a_time(model: Module, tiny_pairs: list[TokenisedPair]) -> None:
    logps = pair_forward(model, tiny_pairs)
    chosen = torch.stack([plain(model, pair.prompt_ids, pair.chosen_ids) for pair in tiny_pairs])
    rejected = torch.stack([plain(model, pair.prompt_ids, pair.rejected_ids) for pair in tiny_pairs])
    torch.testing.assert_close(logps.chosen_logp_B, chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logps.rejected_logp_B, rejected, atol=1e-5, rtol=1e-5)
    assert logps.chosen_len_B.tolist() == [len(pair.chosen_ids) for pair in tiny_pairs]
    assert logps.rejected_len_B.tolist() == [len(pair.rejected_ids) for pair in tiny_pairs]


def test_batch_size_and_order_change_nothing(model: Module, tiny_pairs: list[TokenisedPair]) -> None:
    whole = stacked(pair_forward(model, tiny_pairs))
    single = torch.cat([stacked(pair_forward(model, [pair])) for pair in tiny_pairs])
    order = random.Random(0).sample(range(len(tiny_pairs)), len(tiny_pairs))
    shuffled = stacked(pair_forward(model, [tiny_pairs[i] for i in order]))
    torch.testing.assert_close(single, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled, whole[order], atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_the_full_logits(
    model: Module, tiny_pairs: list[TokenisedPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOGITS_PER_CHUNK", 60 * 7)  # several chunks of 7 tokens, the last one smaller
    pairs = tiny_pairs[:4]
    logps = pair_forward(model, pairs)
    (logps.chosen_logp_B - logps.rejected_logp_B).sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    sum(plain(model, p.prompt_ids, p.chosen_ids) - plain(model, p.prompt_ids, p.rejected_ids) for p in pairs).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_the_whole_vocabulary_is_never_laid_out_for_the_batch(
    tiny_pairs: list[TokenisedPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOGITS_PER_CHUNK", 60 * 5)
    model = llama()
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda head, given, logits: rows.append(logits.shape[0]))
    with torch.inference_mode():
        pair_forward(model, tiny_pairs)
    assert max(rows) == 5
    assert sum(rows) == sum(len(pair.chosen_ids) + len(pair.rejected_ids) for pair in tiny_pairs)


def test_the_models_own_calls_still_give_logits(model: Module, tiny_pairs: list[TokenisedPair]) -> None:
    ids = torch.tensor([tiny_pairs[2].prompt_ids])
    before = model(input_ids=ids).logits
    pair_forward(model, tiny_pairs[:2])
    torch.testing.assert_close(model(input_ids=ids).logits, before)


def test_goes_through_a_wrappers_forward(tiny_pairs: list[TokenisedPair]) -> None:
    class Wrapper(Module):
        def __init__(self, module: Module) -> None:
            super().__init__()
            self.module, self.calls = module, 0

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.module(**inputs)

    wrapped = Wrapper(llama())
    torch.testing.assert_close(
        stacked(pair_forward(wrapped, tiny_pairs)), stacked(pair_forward(wrapped.module, tiny_pairs))
    )
    assert wrapped.calls == 1


@pytest.mark.parametrize("ids", [([], [1], [2]), ([1], [], [2]), ([1], [2], [])])
def test_refuses_what_has_no_log_prob(ids: tuple[list[int], list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match="empty prompt or an empty response"):
        pair_forward(llama(), [TokenisedPair(*ids)])
