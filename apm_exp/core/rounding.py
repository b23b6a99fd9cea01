"""How far two computations of the same log-probs may lie apart by rounding alone."""

from typing import Any

TOLERANCE = {  # nats a token
    "float32": 1e-4,
    "tf32": 5e-3,  # float32 whose products CUDA rounds to 10 bits, as float16 has
    "bfloat16": 2e-2,
    "float16": 5e-3,
    "nf4": 0.5,  # frozen weights in 4 bits (QLoRA) against the weights that were scored
}
SHORT = 16  # tokens; in shorter responses single roundings do not average out, so they get the allowance of 16


def rounding_of(model: Any) -> str:
    """The name in TOLERANCE of how a model's products are rounded."""
    from torch.backends import cuda

    name = str(model.dtype).removeprefix("torch.")
    tf32 = name == "float32" and model.device.type == "cuda" and cuda.matmul.fp32_precision == "tf32"
    return "tf32" if tf32 else name


NOISE = {"float32": 1e-5, "tf32": 5e-3, "bfloat16": 2e-2, "float16": 5e-3}  # of an implicit margin, nats a token
