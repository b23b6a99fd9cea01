"""What an adapter component returns: which small matrices are trained, and how the weights beside them are kept."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Adapter:
    """lora: arguments of peft's LoraConfig. quantisation: arguments of transformers' BitsAndBytesConfig for the frozen
    weights, or None where they stay in the policy's dtype.
    """

    lora: dict[str, Any]
    quantisation: dict[str, Any] | None = None

    @property
    def precision(self) -> str | None:
        """What the frozen weights are rounded to beyond the policy's dtype, as precision.TOLERANCE calls it."""
        return None if self.quantisation is None else "nf4"
