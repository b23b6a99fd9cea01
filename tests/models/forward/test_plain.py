"""What is said of a model whose log-probs cannot be had."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from apm_exp.models.forward.choose import _few
from apm_exp.models.forward.plain import difference_of_sums, refused


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        (torch.bfloat16, "try model.dtype=float32, or use another causal language model"),
        (torch.float32, "use another causal language model"),
    ],
)
def test_what_16_bits_cannot_float32_may(dtype: torch.dtype, remedy: str) -> None:
    model = SimpleNamespace(config=SimpleNamespace(name_or_path="m"), dtype=dtype, device=torch.device("cpu"))
    assert str(refused(model, "fails")) == f"model.path=m: SimpleNamespace fails; {remedy}"


@pytest.mark.parametrize(("vocabulary", "first"), [(49_152, 983), (256_000, 5_120), (40, 0)])
def test_what_is_computed_for_comparison_is_no_control_token(vocabulary: int, first: int) -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, num_hidden_layers=1))
    few = _few(model)
    tokens = [token for prompt, responses in few for ids in (prompt, *responses) for token in ids]
    assert (min(tokens), max(tokens)) == (first + 1, first + 9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_errors_of_single_tokens_are_rounding_in_16_bits_and_a_shift_of_all_is_not(dtype: torch.dtype) -> None:
    """Noise of 0.1 nats a token beside a spread of 3 nats; and 1 nat more for each token, as of a wrong position."""
    model = SimpleNamespace(dtype=dtype, device=torch.device("cpu"))
    torch.manual_seed(0)
    plain = [3 * torch.randn(length) for length in (2, 3, 5, 70)]
    lengths, sums = torch.tensor([len(each) for each in plain]), torch.stack([each.sum() for each in plain])
    noisy = torch.stack([(each + 0.1 * torch.randn(len(each))).sum() for each in plain])
    assert (difference_of_sums(model, noisy, lengths, plain) == 0) == (dtype == torch.bfloat16)
    assert difference_of_sums(model, sums, lengths, plain) == 0
    assert difference_of_sums(model, sums + lengths, lengths, plain) == pytest.approx(1)
