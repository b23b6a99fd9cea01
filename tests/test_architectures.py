"""Our log-probs equal the plain forward's for every architecture of transformers, or the model is refused by name."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from apm_exp.models.pair_forward import responses_forward
from tests.architectures import TYPES, compared, tiny
from tests.forward_models import SHAPE, llama, made, plain

PROMPTS = [([5, 6, 7], [[8, 9, 3, 4], [5, 4]]), ([4, 3, 9, 9, 8], [[7], [6, 5, 9, 8, 7, 3]])]
EXPERTS = {
    **dict.fromkeys(("num_experts", "num_local_experts"), 4),
    **{"num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
}
SHARED = ["deepseek_v3", "gpt_neox", "helium", "mixtral", "opt", "starcoder2"]
PADDED = ["bloom", "cohere", "falcon", "gpt_oss", "lfm3", "mamba2", "rwkv", "xlstm"]


@pytest.mark.parametrize("model_type", [*SHARED, *PADDED])
def test_a_characteristic_architecture_equals_its_plain_forward(model_type: str) -> None:
    result = compared(tiny(model_type))
    assert result.form == ("shared" if model_type in SHARED else "padded")
    assert result.difference <= 1e-5


@pytest.mark.parametrize(
    ("model_type", "window"),
    [("phimoe", {"sliding_window": 90}), ("qwen2_moe", {"use_sliding_window": True, "sliding_window": 90})],
)
def test_a_window_in_the_mask_alone_is_seen_by_what_the_configuration_says(
    model_type: str, window: dict[str, Any]
) -> None:
    """It is longer than the few tokens that the forms are tried on, so that these would not show it."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING[model_type](**SHAPE, **EXPERTS, **window)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for weight in model.parameters():
        weight.data.mul_(5 if weight.ndim > 1 else 1)
    prompt, response = [5, 6, 7, 8] * 10, [3 + index % 50 for index in range(90)]
    with torch.inference_mode():
        found_N, _ = responses_forward(model, [(prompt, [response, [9]])])
        expected = plain(model, prompt, response)
    assert found_N[0].item() == pytest.approx(expected.item(), abs=2e-4)
    assert not model.shares_prompts


@pytest.mark.parametrize("attention", ["auto", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("model_type", ["bert", "xlm"])
def test_what_is_no_causal_model_is_refused_by_name(model_type: str, dtype: torch.dtype, attention: str) -> None:
    """With the weights that an untrained one has, whose log-probs hardly differ: in bfloat16 by less than rounding."""
    model = tiny(model_type, scale=1.0).to(dtype)
    model.pair_attention = attention
    for _ in range(2):  # a second call asks again
        with pytest.raises(ValueError, match=r"with padding than without|is not causal") as error:
            responses_forward(model, PROMPTS)
        assert str(error.value).startswith(f"model.path=: {type(model).__name__} ")
        assert "\n" not in str(error.value)


class Swallows(LlamaForCausalLM):
    """Code of a user's own, whose forward takes any argument and looks at few."""

    def forward(self, input_ids: Tensor, **kwargs: Any) -> CausalLMOutputWithPast:
        return CausalLMOutputWithPast(logits=self.lm_head(self.model(input_ids=input_ids).last_hidden_state))


class Strict(LlamaForCausalLM):
    """Another that takes nothing else."""

    def forward(self, input_ids: Tensor) -> CausalLMOutputWithPast:
        return CausalLMOutputWithPast(logits=self.lm_head(self.model(input_ids=input_ids).last_hidden_state))


class Ignores(LlamaForCausalLM):
    """Another that names what it does not use."""

    def forward(self, input_ids: Tensor, logits_to_keep: Any = 0, **kwargs: Any) -> CausalLMOutputWithPast:
        return CausalLMOutputWithPast(logits=self.lm_head(self.model(input_ids=input_ids).last_hidden_state))


class Headless(LlamaForCausalLM):
    """Another that does not say which of its modules is its output head."""

    def get_output_embeddings(self) -> None:
        return None


class Shifted(LlamaForCausalLM):
    """Another whose kept logits are not those that were asked for."""

    def forward(self, input_ids: Tensor, logits_to_keep: Any = 0, **kwargs: Any) -> CausalLMOutputWithPast:
        logits = self.lm_head(self.model(input_ids=input_ids).last_hidden_state)
        return CausalLMOutputWithPast(
            logits=logits if isinstance(logits_to_keep, int) else logits[:, logits_to_keep - 1]
        )


def own(kind: type[LlamaForCausalLM], dtype: torch.dtype = torch.float32) -> nn.Module:
    """A Llama of that class whose log-probs differ among tokens."""
    base = made(llama)
    model = kind(base.config)
    model.load_state_dict({name: 5 * weight for name, weight in base.state_dict().items()})
    return model.to(dtype).eval()


@pytest.mark.parametrize("attention", ["auto", "eager"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("kind", [Swallows, Strict, Ignores, Headless])
def test_code_of_a_users_own_is_scored_right(
    kind: type[LlamaForCausalLM], dtype: torch.dtype, tolerance: float, attention: str
) -> None:
    """The -294 instead of -260 nats of a model that swallowed `logits_to_keep`."""
    model = own(kind, dtype)
    model.pair_attention = attention
    with torch.inference_mode():
        found_N, length_N = responses_forward(model, PROMPTS)
        expected_N = torch.stack([plain(model.float(), p, one) for p, responses in PROMPTS for one in responses])
    assert ((found_N - expected_N).abs() / length_N.clamp(min=16)).max().item() <= tolerance
    assert expected_N.std() > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("attention", ["auto", "eager"])
def test_a_padded_form_with_other_numbers_is_refused(dtype: torch.dtype, attention: str) -> None:
    model = own(Shifted, dtype)
    model.pair_attention = attention
    with pytest.raises(ValueError, match=r"^model.path=: Shifted gives other log-probs with padding than without"):
        responses_forward(model, PROMPTS)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", TYPES)
def test_every_architecture_equals_its_plain_forward_or_is_refused(model_type: str) -> None:
    try:
        model = tiny(model_type)
    except Exception as error:
        pytest.skip(f"cannot be built small: {type(error).__name__}: {error}")
    result = compared(model)
    assert result.refusal or result.difference <= 1e-4
