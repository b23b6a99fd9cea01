"""The log-probs of pairs against the whole model's own logits, one response at a time."""

import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import BloomConfig, BloomForCausalLM, GraniteConfig, GraniteForCausalLM

from apm_exp.core.types import TokenizedPair
from apm_exp.models.forward import flex, output_head
from apm_exp.models.forward.row import TILE
from apm_exp.models.pair_forward import ResponseLogps, accept_responses, pair_forward, responses_forward
from tests.forward_models import FAMILIES, SHAPE, VOCABULARY, gemma2, llama, made, plain

known = cache(made)
any_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
lengths = st.lists(
    st.tuples(st.integers(1, 12), st.lists(st.integers(1, 14), min_size=1, max_size=5)), min_size=1, max_size=5
)


def ids(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(VOCABULARY) for _ in range(count)]


def prompts_of(lengths: list[tuple[int, list[int]]], seed: int = 0) -> list[tuple[list[int], list[list[int]]]]:
    draw = random.Random(seed)
    return [(ids(draw, prompt), [ids(draw, one) for one in responses]) for prompt, responses in lengths]


def plain_of(model: nn.Module, prompts: list[tuple[list[int], list[list[int]]]]) -> Tensor:
    return torch.stack([plain(model, prompt, one) for prompt, responses in prompts for one in responses])


def stacked(logps: ResponseLogps) -> Tensor:
    return torch.stack([logps.chosen_logp_B, logps.rejected_logp_B], 1)


def assert_per_token(found_N: Tensor, expected_N: Tensor, length_N: Tensor) -> None:
    """Within 1e-5 nats a token."""
    assert ((found_N - expected_N).abs() / length_N).max().item() <= 1e-5


@any_family
@settings(max_examples=8, deadline=None)
@given(lengths)
def test_equals_the_full_logits_of_one_response_at_a_time(
    family: Callable[[], nn.Module], lengths: list[tuple[int, list[int]]]
) -> None:
    model, prompts = known(family), prompts_of(lengths)
    with torch.inference_mode():
        found_N, length_N = responses_forward(model, prompts)
        assert model.shares_prompts
        assert_per_token(found_N, plain_of(model, prompts), length_N)
    assert length_N.tolist() == [length for _, responses in lengths for length in responses]


@any_family
def test_long_texts_and_short_ones_in_one_row(family: Callable[[], nn.Module]) -> None:
    """Blocks of their own beside shared tiles: a long prompt, long answers, answers of one token, N = 1, 2, 5."""
    shapes = [(3, [4, 2]), (TILE, [5, 1, 30, 1, 9]), (1, [1, TILE + 3]), (2, [1]), (TILE + 9, [1, 1]), (5, [7, 8])]
    shapes += [
        (TILE + 2, [1, TILE // 2, 30, 1, TILE - 20, 9, TILE + 3, 4])
    ]  # short responses share a block, long ones not
    model, prompts = known(family), prompts_of(shapes)
    with torch.inference_mode():
        found_N, length_N = responses_forward(model, prompts)
        assert_per_token(found_N, plain_of(model, prompts), length_N)


def assert_gradients(model: nn.Module, prompts: list[tuple[list[int], list[list[int]]]]) -> None:
    """Within 1e-4 of the norm of each parameter's gradient by a weighted sum of all log-probs."""
    alone = deepcopy(model)
    model.zero_grad()
    weight_N = torch.randn(sum(len(responses) for _, responses in prompts), generator=torch.Generator().manual_seed(1))
    (responses_forward(model, prompts)[0] * weight_N).sum().backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    (plain_of(alone, prompts) * weight_N).sum().backward()
    expected = {name: p.grad for name, p in alone.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


@any_family
def test_gradients_equal_those_of_the_full_logits(
    family: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(output_head.BLOCK, "cpu", (7, VOCABULARY // 2 - 3))  # three blocks, the last ones smaller
    assert_gradients(made(family), prompts_of([(3, [4, 2]), (100, [40, 30, 1]), (1, [1, 12]), (9, [12, 1])]))


def test_gradients_with_checkpointed_layers() -> None:
    model = made(llama).train()
    model.activation_checkpointing_enable()
    assert_gradients(model, prompts_of([(3, [4, 2]), (100, [40, 30])]))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks by the older name
@pytest.mark.parametrize("targets", [["q_proj", "v_proj", "up_proj"], ["q_proj", "lm_head"]])
def test_a_model_with_adapters(targets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import LoraConfig, get_peft_model

    monkeypatch.setattr(output_head, "_LOGITS_AT_ONCE", VOCABULARY * 7)
    model = get_peft_model(made(llama), LoraConfig(target_modules=targets, r=2, init_lora_weights=False))
    prompts = prompts_of([(3, [4, 2]), (100, [40, 30]), (2, [1, 9])])
    with torch.inference_mode():
        found_N, length_N = responses_forward(model, prompts)
        assert_per_token(found_N, plain_of(model, prompts), length_N)
    assert_gradients(model, prompts)


def test_batch_size_and_order_change_nothing(tiny_pairs: list[TokenizedPair]) -> None:
    model = known(gemma2)
    whole = stacked(pair_forward(model, tiny_pairs))
    single = torch.cat([stacked(pair_forward(model, [pair])) for pair in tiny_pairs])
    order = random.Random(0).sample(range(len(tiny_pairs)), len(tiny_pairs))
    shuffled = stacked(pair_forward(model, [tiny_pairs[i] for i in order]))
    torch.testing.assert_close(single, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled, whole[order], atol=1e-5, rtol=1e-5)


def test_chosen_and_rejected_and_their_lengths(tiny_pairs: list[TokenizedPair]) -> None:
    model = known(llama)
    logps = pair_forward(model, tiny_pairs)
    for index, pair in enumerate(tiny_pairs):
        chosen, rejected = (plain(model, pair.prompt_ids, one) for one in (pair.chosen_ids, pair.rejected_ids))
        assert logps.chosen_logp_B[index].item() == pytest.approx(chosen.item(), abs=1e-4)
        assert logps.rejected_logp_B[index].item() == pytest.approx(rejected.item(), abs=1e-4)
    assert logps.chosen_len_B.tolist() == [len(pair.chosen_ids) for pair in tiny_pairs]
    assert logps.rejected_len_B.tolist() == [len(pair.rejected_ids) for pair in tiny_pairs]


def test_no_token_is_computed_twice_or_padded(tiny_pairs: list[TokenizedPair]) -> None:
    """The prompt once, and of each response all but the token that is only predicted."""
    model, shapes = made(llama), []
    accept_responses(model)
    model.model.layers[0].mlp.register_forward_hook(lambda module, given, out: shapes.append(tuple(out.shape)))
    with torch.inference_mode():
        pair_forward(model, tiny_pairs)
    assert shapes == [(1, sum(pair.length - 2 for pair in tiny_pairs), 32)]


def test_logits_exist_for_a_block_of_the_response_tokens_alone(
    tiny_pairs: list[TokenizedPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(llama)
    whole = stacked(pair_forward(model, tiny_pairs))
    monkeypatch.setitem(output_head.BLOCK, "cpu", (5, VOCABULARY - 3))
    blocks, logits = [], output_head._Blocks.logits

    def measured(*inputs: Any) -> Tensor:
        blocks.append(tuple(logits(*inputs).shape))
        return logits(*inputs)

    monkeypatch.setattr(output_head._Blocks, "logits", measured)
    with torch.inference_mode():
        torch.testing.assert_close(stacked(pair_forward(model, tiny_pairs)), whole.detach(), atol=1e-5, rtol=1e-5)
    entries, tokens = zip(*blocks, strict=True)
    assert (set(entries), max(tokens)) == ({VOCABULARY - 3, 3}, 5)
    assert sum(tokens) == 2 * sum(len(pair.chosen_ids) + len(pair.rejected_ids) for pair in tiny_pairs)


def granite() -> nn.Module:
    """Logits that are scaled after the head."""
    return GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=3.0))


def bloom() -> nn.Module:
    """An attention of its own, with linear biases."""
    return BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4))


@pytest.mark.parametrize(
    ("family", "why"), [(granite, "changes the logits after its output head"), (bloom, "other kinds of attention")]
)
def test_another_model_is_padded_with_one_warning(
    family: Callable[[], nn.Module], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, prompts = made(family), prompts_of([(3, [4, 2]), (20, [9, 1, 5]), (1, [1, 12])])
    for _ in range(2):
        found_N, length_N = responses_forward(model, prompts)
    assert len(caplog.messages) == 1
    assert not model.shares_prompts
    assert_per_token(found_N, plain_of(model, prompts), length_N)
    assert_gradients(made(family), prompts)
    assert caplog.messages[0].startswith(f"model.attention=auto: {type(model).__name__} ")
    assert why in caplog.messages[0]


def test_an_attention_of_transformers_own_is_used_on_padded_rows(caplog: pytest.LogCaptureFixture) -> None:
    model, prompts = made(llama), prompts_of([(3, [4, 2]), (20, [9, 1, 5])])
    model.pair_attention = "eager"
    found_N, length_N = responses_forward(model, prompts)
    assert not model.shares_prompts
    assert not caplog.messages
    assert_per_token(found_N, plain_of(model, prompts), length_N)


def test_an_attention_that_was_asked_for_and_cannot_be_had() -> None:
    model = made(bloom)
    model.pair_attention = "segments"
    expected = r"^model.attention=segments: BloomForCausalLM does not support .*; set model.attention=auto$"
    with pytest.raises(ValueError, match=expected):
        responses_forward(model, prompts_of([(3, [4, 2])]))


@pytest.mark.parametrize("family", [llama, gemma2])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # its kernel needs a GPU
def test_flex_attention_gives_the_same(family: Callable[[], nn.Module]) -> None:
    """The rule of its mask and its soft-cap, on a CPU, where it runs without its kernel."""
    model, prompts = made(family), prompts_of([(3, [4, 2]), (100, [40, 30, 1]), (1, [1]), (9, [12, 1])])
    model.pair_attention = "flex"
    with torch.inference_mode():
        found_N, length_N = responses_forward(model, prompts)
        assert model.config._attn_implementation == "flex"
        assert_per_token(found_N, plain_of(model, prompts), length_N)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="a CPU's kernel is compiled with g++")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch by torch, as it compiles
def test_flex_attention_is_compiled_once_for_rows_of_all_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a GPU but for its kernel's language: window, soft-cap and grouped heads, with dynamic shapes."""
    monkeypatch.setattr(flex, "COMPILED_ON", {"cpu"})
    model, graphs = made(gemma2), torch._dynamo.utils.counters["stats"]
    model.pair_attention = "flex"
    rows = [prompts_of([(30, [200, 40]), (1, [1])]), prompts_of([(150, [90, 1, 20])]), prompts_of([(70, [80])] * 9)]
    with torch.inference_mode():
        for prompts in rows:
            found_N, length_N = responses_forward(model, prompts)
            assert model.config._attn_implementation == "flex"
            assert_per_token(found_N, plain_of(model, prompts), length_N)
            assert graphs["unique_graphs"] == 4  # a mask and an attention, without a window and with one


@any_family
def test_the_models_own_calls_still_give_logits(family: Callable[[], nn.Module]) -> None:
    model, padded = made(family), torch.tensor([[0, 0, 5, 6, 7], [3, 4, 5, 6, 7]])
    inputs = {"input_ids": padded, "attention_mask": (padded != 0).long()}
    with torch.inference_mode():
        before = model(**inputs).logits
        responses_forward(model, prompts_of([(3, [4, 2])]))
        torch.testing.assert_close(model(**inputs).logits, before)


def test_the_first_forward_chooses_the_form_of_weights_that_were_not_there() -> None:
    """As under ZeRO-3: a model that cannot share prompts is padded, not an error."""
    model, prompts = made(granite), prompts_of([(3, [4, 2])])
    accept_responses(model, probe=False)
    assert not hasattr(model, "shares_prompts")
    found_N, length_N = responses_forward(model, prompts)
    assert not model.shares_prompts
    assert_per_token(found_N, plain_of(model, prompts), length_N)


def test_goes_through_a_wrappers_forward(tiny_pairs: list[TokenizedPair]) -> None:
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module, self.calls = module, 0

        def forward(self, **inputs: Tensor) -> Tensor:
            self.calls += 1
            return self.module(**inputs)

    wrapped = Wrapper(made(llama))
    torch.testing.assert_close(
        stacked(pair_forward(wrapped, tiny_pairs)), stacked(pair_forward(wrapped.module, tiny_pairs))
    )
    assert wrapped.calls == 1


@pytest.mark.parametrize("ids", [([], [1], [2]), ([1], [], [2]), ([1], [2], [])])
@pytest.mark.parametrize("attention", ["auto", "sdpa"])
def test_refuses_what_has_no_log_prob(ids: tuple[list[int], list[int], list[int]], attention: str) -> None:
    model = made(llama)
    model.pair_attention = attention
    with pytest.raises(ValueError, match="empty prompt or an empty response"):
        pair_forward(model, [TokenizedPair(*ids)])
