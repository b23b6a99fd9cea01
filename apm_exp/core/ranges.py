"""Types with a range for settings; component.py checks them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LearningRate = Annotated[float, Field(gt=0, le=10)]  # Adafactor and SGD take up to 1
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
BelowHalf = Annotated[float, Field(ge=0, lt=0.5)]
Count = Annotated[int, Field(gt=0)]
Epochs = Annotated[int, Field(gt=0, le=10_000)]
Batch = Annotated[int, Field(gt=0, le=2**20)]  # pairs per optimizer step; thousands are already many
Rank = Annotated[int, Field(gt=0, le=2**16)]  # of an adapter; layers are at most that wide


def _number_or_auto(value: Any) -> str | None:
    """Return the tag of the type to validate with: `auto` for that word, `number` for values that are not strings."""
    return ("auto" if value == "auto" else None) if isinstance(value, str) else "number"


Alpha = Annotated[
    Annotated[NotNegative, Tag("number")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_number_or_auto, "alpha", "Input should be a number of at least 0, or auto"),
]
Holdout = Annotated[
    Annotated[float, Field(ge=0, lt=1), Tag("number")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_number_or_auto, "holdout", "Input should be a number from 0 to below 1, or auto"),
]
Temperature = Annotated[float, Field(ge=1e-6, le=100)]  # of sampling; far below 1e-6 the logits are not finite
