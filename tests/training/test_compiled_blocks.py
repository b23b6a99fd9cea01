import shutil

import pytest
import torch

from apm_exp.models.load import load_model
from apm_exp.models.pair_forward import accept_responses, pair_forward
from apm_exp.training.compiled_blocks import check_compile, compile_blocks
from tests.training.cases import deepspeed


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch itself looks at it
def test_compiled_blocks_give_the_same_numbers_without_being_compiled_for_each_length(tiny_policy, tiny_pairs):
    """2 layers x (feed-forward, two norms). The backend does not generate code, which would take a minute."""
    plain, compiled = load_model(tiny_policy, "cpu"), load_model(tiny_policy, "cpu")
    for model in (plain, compiled):
        accept_responses(model)
    assert compile_blocks(compiled, backend="aot_eager") == 6
    losses = []
    with torch._dynamo.config.patch(error_on_recompile=True):
        for rows in (slice(0, 4), slice(4, 12), slice(2, 3)):
            pair = [pair_forward(model, tiny_pairs[rows]).chosen_logp_B.sum() for model in (plain, compiled)]
            losses.append(pair)
            for loss in pair:
                loss.backward()
    torch.testing.assert_close(*zip(*losses, strict=True), atol=1e-4, rtol=1e-5)
    gradients = [[weight.grad for weight in model.parameters()] for model in (plain, compiled)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_compiled_is_one_line(monkeypatch):
    check_compile(deepspeed("zero2"))
    with pytest.raises(
        ValueError, match=r"^trainer.torch_compile=true: not supported with ZeRO-3, .* use deepspeed=zero2$"
    ):
        check_compile(deepspeed("zero3"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"^trainer.torch_compile=true: needs a C\+\+ compiler"):
        check_compile(None)
    with pytest.raises(ValueError, match=r"^trainer.torch_compile=true: NoLayers has no list of decoder layers"):
        compile_blocks(NoLayers())


class NoLayers(torch.nn.Linear):
    """A model without layers."""

    def __init__(self):
        super().__init__(1, 1)
        self.base_model = self
