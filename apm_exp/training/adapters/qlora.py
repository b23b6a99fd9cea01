"""QLoRA: LoRA on frozen weights that are quantized to 4 bits (NF4, arXiv 2305.14314) with bitsandbytes on a GPU."""

from dataclasses import replace

from apm_exp.core.ranges import BelowOne, Rank
from apm_exp.training.adapters.adapter import Adapter
from apm_exp.training.adapters.lora import Scale, Targets, lora


def qlora(
    *, rank: Rank, alpha: Scale, dropout: BelowOne, target_modules: Targets, double_quantization: bool
) -> Adapter:
    """Return a LoRA adapter whose base linear layers (except the output head) are quantized to 4 bits.

    The quantized policy differs slightly from the one that was scored, so log-ratios at the first optimizer step are
    at the level of the quantization noise, not 0. double_quantization: also quantize the scales of the blocks of 64
    weights, which saves 0.37 bits per weight.
    """
    plain = lora(rank=rank, alpha=alpha, dropout=dropout, target_modules=target_modules)
    four_bits = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": double_quantization}
    return replace(plain, quantization=four_bits)
