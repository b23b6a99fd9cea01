"""Hints for values of the wrong type or range, from pydantic's description of the error."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

_TRUE, _FALSE = ("yes", "on", "y", "1"), ("no", "off", "n", "0")


def value_hint(error: Mapping[str, Any]) -> str:
    """Return the value that was probably meant; "" if there is no guess."""
    kind, value = error["type"], error["input"]
    text = str(value).lower()
    if kind == "literal_error":
        known = {name.lower(): name for name in re.findall("'([^']*)'", error["ctx"]["expected"])}
        close = difflib.get_close_matches(text, known, n=1)
        return f"did you mean {known[close[0]]}?" if close else ""
    if kind.startswith("bool_") and text in (*_TRUE, *_FALSE):
        return f"write {'true' if text in _TRUE else 'false'}"
    if kind.startswith("int_") and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if kind.startswith("float_") and re.fullmatch(r"[\d.]+%", text):
        return f"write {float(text[:-1]) / 100:g}"
    if kind == "less_than_equal" and isinstance(value, float) and value > 1e3:  # 5e7 for 5e-7
        return f"did you mean {float(f'{value:e}'.replace('e+', 'e-')):g}?"
    if kind in ("less_than", "less_than_equal") and 1 in error["ctx"].values() and 1 < value <= 100:
        return f"{value:g}% is {value / 100:g}"
    return ""
