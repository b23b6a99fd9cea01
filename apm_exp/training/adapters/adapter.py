"""The settings that an adapter component returns: which low-rank matrices to train, and how to store the frozen
weights.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Adapter:
    """An adapter to train in place of the policy's weights.

    lora: arguments of peft's LoraConfig. quantization: arguments of transformers' BitsAndBytesConfig for the frozen
    weights, or None to keep them in the policy's dtype.
    """

    lora: dict[str, Any]
    quantization: dict[str, Any] | None = None

    @property
    def precision(self) -> str | None:
        """Return the key in TOLERANCE for the frozen weights' rounding, or None if they are in the policy's dtype."""
        return None if self.quantization is None else "nf4"
