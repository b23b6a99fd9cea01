"""torch.compile for the parts of a model that do not depend on other tokens: feed-forward blocks and norms.

Compiling the whole model would recompile for every number of prompts, responses and tokens in a row (on a CPU: 4
minutes for six optimizer steps). Attention and the output head of the pair forward have their own kernels already.
"""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from torch import nn

from apm_exp.training.deepspeed_setup import stage_of


def compile_blocks(model: Any, backend: str = "inductor") -> int:
    """Compile each part of the decoder layers except attention, with dynamic shapes, and return the number of parts.

    Compilation happens at the first call; equal parts of different layers share their code. backend: as in
    torch.compile. Raises ValueError as parts_to_compile.
    """
    parts = parts_to_compile(model)
    for part in parts:
        part.compile(dynamic=True, backend=backend)
    return len(parts)


def parts_to_compile(model: Any) -> list[nn.Module]:
    """Return the parts of a decoder's layers but attention. Raises ValueError if the layers are not found."""
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        name = type(model).__name__
        raise ValueError(
            f"trainer.torch_compile=true: {name} has no list of decoder layers to compile; set it to false"
        )
    return [part for layer in layers for part in layer.children() if "attention" not in type(part).__name__.lower()]


def check_compile(deepspeed: Mapping[str, Any] | None) -> None:
    """Raise ValueError if ZeRO-3 shards the weights, or if there is no C++ compiler."""
    if stage_of(deepspeed) == 3:
        raise ValueError(
            "trainer.torch_compile=true: not supported with ZeRO-3, which fetches weights inside the compiled parts; "
            "set it to false, or use deepspeed=zero2"
        )
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise ValueError(
            "trainer.torch_compile=true: needs a C++ compiler (g++), and this machine has none; set it to false"
        )
