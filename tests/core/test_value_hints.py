"""What a value of the wrong form was probably meant to be."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from apm_exp.core import component


def settings(
    *, share: Annotated[float, Field(ge=0, le=1)], count: int, mode: Literal["plan", "run"], on: bool, rate: float
) -> None:
    """Settings of each type that has hints."""


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("share", 40, "; 40% is 0.4"),
        ("share", 1.5, "; 1.5% is 0.015"),
        ("share", 400, " equal to 1"),
        ("share", "40%", "; write 0.4"),
        ("count", 1e4, "; write 10000"),
        ("count", 1.5, " integer"),
        ("mode", "PLAN", "; did you mean plan?"),
        ("mode", "zzz", "'plan' or 'run'"),
        ("on", "yes", "; write true"),
        ("on", 0, "; write false"),
        ("on", "maybe", " boolean"),
    ],
)
def test_the_message_ends_with_what_was_meant(name: str, value: object, hint: str) -> None:
    right = {"share": 0.5, "count": 1, "mode": "run", "on": True, "rate": 1.0}
    with pytest.raises(ValueError, match=f"^x.{name}=") as caught:
        component.check("x", right | {name: value}, (settings,))
    assert str(caught.value).endswith(hint)
