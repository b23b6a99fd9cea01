"""Numbers of many pairs as text for a page: integers of one to three bytes in base64."""

import base64
from dataclasses import dataclass

import numpy as np

_LARGEST = 2**23 - 1  # of a signed integer of three bytes


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Numbers as integers of three bytes: `codes_P * unit`. Zeros are exact, and equal numbers stay equal."""

    codes_P: np.ndarray
    unit: float

    @property
    def decoded_P(self) -> np.ndarray:
        """Return the numbers as the page computes with them."""
        return self.codes_P * self.unit


def fixed_point(values_P: np.ndarray) -> FixedPoint:
    """Return numbers rounded to 1/8388607 of the largest size among them."""
    unit = float(np.max(np.abs(values_P), initial=0.0)) / _LARGEST
    codes_P = np.rint(values_P / unit) if unit else np.zeros_like(values_P)
    return FixedPoint(codes_P.astype(np.int32), unit)


def packed(codes_P: np.ndarray, width: int = 3) -> str:
    """Return the lowest `width` bytes of signed integers, little endian, in base64."""
    bytes_P = np.ascontiguousarray(codes_P, "<i4").view(np.uint8).reshape(-1, 4)[:, :width]
    return base64.b64encode(bytes_P.tobytes()).decode()


def packed_flags(flags_P: np.ndarray) -> str:
    """Return booleans, eight a byte, the first in the lowest bit, in base64."""
    return base64.b64encode(np.packbits(flags_P, bitorder="little").tobytes()).decode()
