"""LoRA: each chosen layer W becomes W + alpha / rank * B A, of which only A and B are trained (arXiv 2106.09685)."""

from typing import Annotated

from pydantic import Field

from apm_exp.core.ranges import BelowOne, Rank
from apm_exp.training.adapters.adapter import Adapter

Scale = Annotated[float, Field(gt=0, le=1e6)]
Targets = Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]


def lora(*, rank: Rank, alpha: Scale, dropout: BelowOne, target_modules: Targets) -> Adapter:
    """Return a LoRA adapter; the policy's own weights keep their dtype.

    B is initialized to zero, so the policy at the first optimizer step equals the starting policy.

    rank: rows of A and columns of B. alpha: scale of the update. dropout: dropout probability on the input of A.
    target_modules: "all-linear" (every linear layer except the output head), suffixes of layer names, or one regular
    expression that matches whole names.
    """
    settings = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout, "target_modules": target_modules}
    return Adapter({**settings, "bias": "none", "task_type": "CAUSAL_LM"})
