"""Tolerances for two computations of the same log-probs, which differ by rounding."""

from typing import Any

TOLERANCE = {  # nats per token
    "float32": 1e-4,
    "tf32": 5e-3,  # float32 with products that CUDA rounds to a 10-bit mantissa, as in float16
    "bfloat16": 2e-2,
    "float16": 5e-3,
    "nf4": 0.5,  # frozen 4-bit weights (QLoRA) compared with the weights that were scored
}
SHORT = 16  # tokens; rounding errors do not average out in shorter responses, so they get the tolerance of this length
_LONG = {"bfloat16": 1024, "float16": 1024}  # the same in 16 bits, where the errors of tokens are random


def tolerated(rounding: str, length: int) -> float:
    """Return by how many nats rounding may change the summed log-prob of a response of so many tokens.

    In 16 bits the errors of a response's tokens add up with the root of their number. SmolLM2-135M in bfloat16, with
    weights of 16 bits and of 32, on 160 responses of 2 to 400 tokens: 0.06 nats a token (root mean square), and at most
    0.32 times the root of the number of tokens, half of what is tolerated here.
    """
    long = _LONG.get(rounding)
    return TOLERANCE[rounding] * (max(length, SHORT) if long is None else max(length, (length * long) ** 0.5))


def rounding_of(model: Any) -> str:
    """Return the key in TOLERANCE for a model's precision."""
    from torch.backends import cuda

    name = str(model.dtype).removeprefix("torch.")
    tf32 = name == "float32" and model.device.type == "cuda" and cuda.matmul.fp32_precision == "tf32"
    return "tf32" if tf32 else name


NOISE = {"float32": 1e-5, "tf32": 5e-3, "bfloat16": 2e-2, "float16": 5e-3}  # of an implicit margin, nats per token
