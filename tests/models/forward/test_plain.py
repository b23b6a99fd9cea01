"""What is said of a model whose log-probs cannot be had."""

from types import SimpleNamespace

import pytest
import torch

from apm_exp.models.forward.plain import refused


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
