"""LoRA: each chosen layer W becomes W + alpha / rank * B A, of which only A and B are trained (arXiv 2106.09685)."""

from typing import Annotated

from pydantic import Field

from apm_exp.core.ranges import BelowOne, Count
from apm_exp.training.adapters.adapter import Adapter

Scale = Annotated[float, Field(gt=0, le=1e6)]
Targets = Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]


def lora(*, rank: Count, alpha: Scale, dropout: BelowOne, target_modules: Targets) -> Adapter:
    """The adapter of a policy whose own weights stay as they are. B begins at zero: the first step's policy is the
    starting policy.

    rank: rows of A and columns of B. dropout: probability, on what enters A. target_modules: "all-linear" (every
    linear layer but the output head), the last parts of layers' names, or one regular expression for whole names.
    """
    settings = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout, "target_modules": target_modules}
    return Adapter({**settings, "bias": "none", "task_type": "CAUSAL_LM"})
