"""QLoRA: LoRA beside frozen weights that are kept in 4 bits (NF4, arXiv 2305.14314), by bitsandbytes on a GPU."""

from dataclasses import replace

from apm_exp.core.ranges import BelowOne, Count
from apm_exp.training.adapters.adapter import Adapter
from apm_exp.training.adapters.lora import Scale, Targets, lora


def qlora(
    *, rank: Count, alpha: Scale, dropout: BelowOne, target_modules: Targets, double_quantisation: bool
) -> Adapter:
    """As `lora`, with the weights of the linear layers (not of the output head) rounded to 4 bits a weight.

    The rounded policy is not quite the one that was scored: log-ratios begin at the rounding's noise, not at 0.
    double_quantisation: the scales of the blocks of 64 weights are rounded too, which saves 0.37 bits a weight.
    """
    plain = lora(rank=rank, alpha=alpha, dropout=dropout, target_modules=target_modules)
    four_bits = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": double_quantisation}
    return replace(plain, quantisation=four_bits)
