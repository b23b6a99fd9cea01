"""Validation of the flags of the command line, which are Hydra's."""

from collections.abc import Sequence
from pathlib import Path

from apm_exp.cli.other_forms import as_settings

_WITH_VALUE = {"--cfg": "-c", "--package": "-p", "--config-path": "-cp", "--config-name": "-cn", "--config-dir": "-cd"}
_VALUES = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
_PLAIN = {"--help": "-h", "--resolve": "", "--run": "-r", "--multirun": "-m", "--shell-completion": "-sc"}
_SHORT = {short: flag for flag, short in (_WITH_VALUE | _PLAIN | {"--info": "-i"}).items() if short}
_ONE_OF = {"--run", "--cfg", "--info", "--shell-completion"}
_COMPLETION = ("install=", "uninstall=", "query=")
_FLAGS = {*_SHORT, *_SHORT.values(), "--resolve", "--hydra-help"}
FLAGS_WITH_VALUE = {*_WITH_VALUE, *_WITH_VALUE.values(), "--info", "-i"}


def check_flags(arguments: Sequence[str]) -> None:
    """Raise ValueError with one line for an unknown flag, or one without a required value."""
    flags = {long_name(a.partition("=")[0]) for a in arguments if a.startswith("-")}
    if line := as_settings(arguments, _FLAGS):
        raise ValueError(line)
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=False):  # of an empty list: nothing
        if argument.startswith("-"):
            flag, equals, value = argument.partition("=")
            _check(flag, value if equals else after, equals=bool(equals))
    if len(asked := sorted(flags & _ONE_OF)) > 1:
        raise ValueError(f"{' '.join(asked)}: these flags exclude each other; use one of them")
    if flags >= {"--run", "--multirun"}:
        raise ValueError("--run --multirun: these flags exclude each other; use one of them")
    if "--shell-completion" in flags and not any(argument.startswith(_COMPLETION) for argument in arguments):
        raise ValueError("--shell-completion: a subcommand must follow, as -sc install=bash")
    for flag in flags & {"--resolve", "--package"}:
        if "--cfg" not in flags:
            raise ValueError(f"{flag}: only changes what --cfg prints; write --cfg job {flag}")


def _check(flag: str, value: str, *, equals: bool) -> None:
    """Check one flag with the value that follows it."""
    if flag not in _FLAGS:
        raise ValueError(
            f"{flag}: no such flag; flags: --help, -m, --cfg job, --config-dir DIR, --hydra-help, --version"
        )
    name = long_name(flag)
    if name not in _WITH_VALUE and name not in _VALUES and equals:
        raise ValueError(f"{flag}={value}: {flag} takes no value; write {flag}")
    if name == "--config-dir" and value and not Path(value).is_dir():
        raise ValueError(f"{flag} {value}: no such folder; give the folder that contains your configuration groups")
    if name in _WITH_VALUE and (not value or value.startswith("-")):
        raise ValueError(f"{flag}: a value must follow, as {name} {_VALUES.get(name, ('NAME',))[0]}")
    is_setting = name == "--info" and (not value or value.startswith("-") or "=" in value)  # its value is optional
    if name in _VALUES and value not in _VALUES[name] and not is_setting:
        from apm_exp.core.component import nearest  # lazy, so that --help does not import pydantic

        raise ValueError(f"{flag} {value}: no such value; {nearest(value, _VALUES[name])}")


def long_name(flag: str) -> str:
    """Return the long form of a flag."""
    return _SHORT.get(flag, flag)
