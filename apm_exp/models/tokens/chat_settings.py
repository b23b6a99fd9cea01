"""What a chat template is given besides the conversation: the user's variables, and a day that does not change."""

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

_CLOCK = "strftime_now"  # the function by which a template asks for the time
_CODES = "aAbBcdDeFgGhHIjmMnpPrRStTuUVwWxXyY"
_UNPADDED = "dmHIMSjy"  # as in %-d


@dataclass(frozen=True)
class ChatSettings:
    """variables: passed to the template by name. day: what the template takes for today, YYYY-MM-DD."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    day: str = TEMPLATE_DATE


def settings_of(tokenizer: "PreTrainedTokenizerBase") -> ChatSettings:
    """The settings that load_tokenizer gave to a tokenizer, else the defaults."""
    return getattr(tokenizer, "chat_settings", None) or ChatSettings()


def is_day(text: str) -> str:
    """Return a day as it was given; raises ValueError for anything but YYYY-MM-DD."""
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError("not a day; give YYYY-MM-DD")


def writes_date(template: str) -> bool:
    """Whether a template asks for the time."""
    return _CLOCK in template


@lru_cache(maxsize=16)
def with_fixed_day(template: str, day: str) -> tuple[str, int]:
    """A template in which it is midnight of `day`, and the number of lines that were put before its own.

    transformers gives templates a clock; a macro of the same name hides it. It is written into the template, as
    transformers lets no function through to it.
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
    """Raise ValueError for a variable that the template does not mention, or that transformers itself takes."""
    taken = {"messages", *inspect.signature(tokenizer.apply_chat_template).parameters}
    for name, value in settings_of(tokenizer).variables.items():
        label = f"model.chat_template_kwargs.{name}={value}"
        if name in taken:
            raise ValueError(f"{label}: this is given to every template already; leave it out")
        if not re.search(rf"\b{re.escape(name)}\b", template):
            raise ValueError(f"{label}: the chat template reads no such variable; correct the name or leave it out")
