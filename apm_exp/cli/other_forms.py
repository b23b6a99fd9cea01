"""Settings that were typed in the form of other programs: `--name=value`, `--name value` or `name value`."""

import re
import shlex
from collections.abc import Collection, Sequence

from apm_exp.core.conf import options_of
from apm_exp.core.credentials import refuse_secrets
from apm_exp.core.hints import Hint, hint_for_option, hint_for_setting
from apm_exp.jobs.request import TYPED

_FLAG = re.compile(r"--?(?=[A-Za-z])")
_PATH = re.compile(r".*\.(jsonl|json|parquet)(\.gz)?")
_SETTING = re.compile(r"[+~]*[\w./-]+=.*", re.DOTALL)


def as_settings(arguments: Sequence[str], flags: Collection[str]) -> str | None:
    """Return one line that says how to type the settings that look like flags; None if there are none.

    flags: the existing ones, whose values are skipped. A flag without a value is a setting only if it has a hint.
    """
    typed, hints = [], []
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=False):  # of an empty list: nothing
        name, equals, value = argument.partition("=")
        if name in flags or not _FLAG.match(name):
            continue
        name, follows = _FLAG.sub("", name, count=1).replace("-", "_"), not equals and _is_value(after)
        if not (equals or follows or hint_for_setting(name, "true")):
            return None
        value = value if equals else after if follows else "true"
        typed.append(f"{argument} {after}" if follows else argument)
        hints.append(meant(name, value))
    return f"{' '.join(typed)}: settings are typed without dashes; {_joined(hints)}" if typed else None


def without_equals(settings: Sequence[str]) -> str | None:
    """Return one line that says how to type a `name value` or `name = value`; None if there is none."""
    for setting, after, later in zip(settings, [*settings[1:], ""], [*settings[2:], "", ""], strict=False):
        name = setting.removesuffix("=")
        value = later if after == "=" else after.removeprefix("=")
        spaced = after.startswith("=") or "=" not in after
        if re.fullmatch(r"[\w./]+", name) and value and spaced and _is_value(value):
            between = f" {after}" if after != "=" else f" = {later}"
            return f"{setting}{between}: settings are typed with = and without spaces; {meant(name, value)}"
    return None


def hint_for_word(word: str) -> Hint | None:
    """Return what to write for an argument that is only a value: a task, or the path of a data set."""
    if word in TYPED:
        return Hint((f"task={word}",), "")
    return hint_for_option("dataset", word) if _PATH.fullmatch(word) else None


def meant(name: str, value: str) -> Hint:
    """Return what to write for a setting of this name and value. Raises ValueError if it looks like a secret."""
    refuse_secrets([(name, value)])
    hint = hint_for_setting(name, value)
    if hint is None and (options := options_of(name)) and value not in options:
        hint = hint_for_option(name, value)
    return hint or Hint((f"{name}={value}",), "")


def _is_value(argument: str) -> bool:
    """Return whether an argument can be the value of the one before it."""
    return bool(argument) and not _FLAG.match(argument) and not _SETTING.fullmatch(argument)


def _joined(hints: Sequence[Hint]) -> str:
    write = dict.fromkeys(shlex.quote(setting) for hint in hints for setting in hint.write)
    notes = dict.fromkeys(hint.note for hint in hints if hint.note)
    return "; ".join([f"write {' '.join(write)}"] * bool(write) + list(notes))
