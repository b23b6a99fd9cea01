"""Errors for settings that an option's file lacks: Hydra refuses an override of a name that is not in the file."""

import re
import shlex
from pathlib import Path

from apm_exp.core.conf import conf_folder
from apm_exp.jobs.request import Request

_MISSING = re.compile(r"(?P<group>[\w.]+)\.(?P<name>\w+) is missing: give \S+=VALUE")
_COMMON = {"dataset": "jsonl"}  # an option of the group whose values a new option can copy
_FILES = {"model.adapter": "adapter"}  # the group with the files of a node
_BY_NAME = ("evals", "compare")  # groups from which several options can be chosen


def say_where(problem: str, request: Request) -> str:
    """Return an error message about a job's settings, with the file and its missing lines for missing settings."""
    missing: dict[str, list[str]] = {}
    others = []
    for part in problem.split(" | "):
        if match := _MISSING.fullmatch(part):
            missing.setdefault(match["group"], []).append(match["name"])
        else:
            others.append(part)
    return " | ".join([*(_lacks(group, names, request) for group, names in missing.items()), *others])


def _lacks(group: str, names: list[str], request: Request) -> str:
    kind, _, inner = _FILES.get(group, group).partition(".")
    option = inner if kind in _BY_NAME else request.choices.get(kind)
    if option is None:
        return f"{group}: lacks {', '.join(names)}; give them with +, as +{group}.{names[0]}=VALUE"
    lines = "; ".join(_line(kind, name) for name in names)
    return f"{kind}={option}: {_file(kind, option, request)} lacks {', '.join(names)}; add to it: {lines}"


def _file(kind: str, option: str, request: Request) -> Path:
    """Return the file of an option, in the user's --config-dir if there is one."""
    words = shlex.split(request.command)
    own = words[words.index("--config-dir") + 1 : words.index("--config-dir") + 2] if "--config-dir" in words else []
    return Path(*own, kind, f"{option}.yaml")


def _line(kind: str, name: str) -> str:
    """Return the line to add to a file for a setting, with the usual value if all options of the group have it."""
    shipped = conf_folder() / kind / f"{_COMMON.get(kind)}.yaml"
    usual = re.search(rf"^({name}: \S+)", shipped.read_text("utf-8"), re.MULTILINE) if shipped.is_file() else None
    return usual[1] if usual and "???" not in usual[1] else f"{name}: VALUE"
