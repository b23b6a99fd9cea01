"""The inputs of a chat template besides the conversation: the user's variables, and a fixed current date."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from apm_exp.core.types import TEMPLATE_DATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CLOCK = "strftime_now"  # the function with which a template reads the clock
_CODES = "aAbBcdDeFgGhHIjmMnpPrRStTuUVwWxXyY"
_UNPADDED = "dmHIMSjy"  # as in %-d


@dataclass(frozen=True)
class ChatSettings:
    """The settings of a chat template. variables: passed to it by name. day: its current date, YYYY-MM-DD."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    day: str = TEMPLATE_DATE


def settings_of(tokenizer: "PreTrainedTokenizerBase") -> ChatSettings:
    """Return the settings that load_tokenizer attached to a tokenizer, or the defaults."""
    return getattr(tokenizer, "chat_settings", None) or ChatSettings()


def is_day(text: str) -> str:
    """Return a date unchanged; raises ValueError if it is not YYYY-MM-DD."""
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError("not a date; give YYYY-MM-DD")


def writes_date(template: str) -> bool:
    """Return whether a template reads the clock."""
    return _CLOCK in template


@lru_cache(maxsize=16)
def with_fixed_day(template: str, day: str) -> tuple[str, int]:
    """Return a template in which it is midnight of `day`, and the number of lines added before its first line.

    transformers passes a clock function to templates; a macro of the same name shadows it. The macro is written into
    the template because transformers does not let another function be passed.
    """
    if not writes_date(template):
        return template, 0
    moment = datetime.combine(date.fromisoformat(day), time())
    codes = [f"%{code}" for code in _CODES] + [f"%-{code}" for code in _UNPADDED]
    values = {"%%": "\x00", **{code: moment.strftime(code) for code in codes}, "\x00": "%"}
    replaced = "".join(f".replace({code!r}, {value!r})" for code, value in values.items())
    macro = f"{{%- macro {_CLOCK}(format) -%}}{{{{- format{replaced} -}}}}{{%- endmacro %}}\n"
    return macro + template, 1


def check_variables(tokenizer: "PreTrainedTokenizerBase", template: str) -> None:
    """Raise ValueError for a variable that the template does not mention, or that transformers already uses."""
    taken = {"messages", *inspect.signature(tokenizer.apply_chat_template).parameters}
    for name, value in settings_of(tokenizer).variables.items():
        label = f"model.chat_template_kwargs.{name}={value}"
        if name in taken:
            raise ValueError(f"{label}: transformers already passes this to every template; remove it")
        if not re.search(rf"\b{re.escape(name)}\b", template):
            raise ValueError(f"{label}: the chat template does not use this variable; fix the name or remove it")
