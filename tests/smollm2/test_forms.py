"""Which forms of the forward a real policy takes: in 16 bits too the fast ones."""

from dataclasses import replace

import pytest
import torch

from apm_exp.core.types import Policy
from apm_exp.data.generate.choose_rows import choose_rows
from apm_exp.data.generate.shared_rows import SharedRows
from apm_exp.models.load import load_model
from apm_exp.models.pair_forward import accept_responses

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_prompts_and_keys_are_shared(smollm2: Policy, dtype: str) -> None:
    model = load_model(replace(smollm2, dtype=dtype), "cpu")
    with torch.inference_mode(), choose_rows(model) as rows:
        assert isinstance(rows, SharedRows)
    accept_responses(model)
    assert model.shares_prompts
