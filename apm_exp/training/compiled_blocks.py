"""torch.compile for the parts of a model that see only a row of tokens: feed-forward blocks and norms.

The model as a whole would be compiled again for every number of prompts, responses and tokens in a row (on a CPU:
minutes for six steps); attention and the output head of the pair forward have their own kernels already.
"""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from torch import nn

from apm_exp.training.deepspeed_setup import stage_of


def compile_blocks(model: Any, backend: str = "inductor") -> int:
    """Compile, once for any number of tokens, each part of the decoder's layers but attention, when it is first called.

    Returns how many parts those are; equal ones of different layers share their code. backend: torch.compile's.
    Raises ValueError for a model whose layers are not found.
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        name = type(model).__name__
        raise ValueError(f"trainer.torch_compile=true: {name} has no list of layers to compile; set it to false")
    parts = [part for layer in layers for part in layer.children() if "attention" not in type(part).__name__.lower()]
    for part in parts:
        part.compile(dynamic=True, backend=backend)
    return len(parts)


def check_compile(deepspeed: Mapping[str, Any] | None) -> None:
    """Raise ValueError where the weights are divided, or there is no compiler."""
    if stage_of(deepspeed) == 3:
        raise ValueError(
            "trainer.torch_compile=true: ZeRO-3 fetches weights in the middle of what would be compiled; "
            "set it to false, or take deepspeed=zero2"
        )
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise ValueError(
            "trainer.torch_compile=true: needs a C++ compiler (g++), and this machine has none; set it to false"
        )
