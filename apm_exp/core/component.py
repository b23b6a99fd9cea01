"""Components: functions that a YAML node names; the node is checked against the function's signature and bound to it.

A node is a plain dict `{"_target_": "package.module.function", setting: value, ...}`. The keyword-only parameters of
the function are its settings; positional parameters are passed by the stage that calls it.
"""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from apm_exp.core.component_sources import note, source_of
from apm_exp.core.hints import hint_for_setting, hint_for_value
from apm_exp.core.value_hints import value_hint

Function = Callable[..., Any]
# an annotation of settings that change results at most by rounding and are not in the cache key
UNHASHED = "how it is run"
_trusted_packages = {"apm_exp"}
_MOST_NAMES = 15


def trust(packages: Iterable[str]) -> None:
    """Allow `_target_` to name functions of these top-level packages too."""
    _trusted_packages.update(packages)


def trusted() -> frozenset[str]:
    """Return the top-level packages whose functions `_target_` may name."""
    return frozenset(_trusted_packages)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the closest of `names`, else all of them or the few closest."""
    known = sorted(names)
    lower = {each.lower(): each for each in known}
    if close := difflib.get_close_matches(name.lower(), lower, n=1):
        return f"did you mean '{lower[close[0]]}'?"
    if len(known) > _MOST_NAMES:
        known = [lower[each] for each in difflib.get_close_matches(name.lower(), lower, n=5, cutoff=0.3)] or known[:5]
        return f"the nearest are {', '.join(known)}"
    return f"choose from: {', '.join(known)}" if known else "it takes no settings"


def locate(group: str, node: Mapping[str, Any]) -> Function:
    """Return the function that a node names. ValueError if its package is not trusted or has no such function."""
    target = str(node.get("_target_", ""))
    module_name, _, name = target.rpartition(".")
    if not target:
        raise ValueError(f"{group}: names no function; give its option's file a line _target_: package.module.function")
    if module_name.split(".")[0] not in _trusted_packages:
        remedy = "add its package to trusted_packages if you trust its code"
        raise ValueError(f"{group}._target_={target}: not a function of a trusted package; {remedy}")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{group}._target_={target}: {error}{_where_it_is(module_name, name)}") from error
    if not inspect.isfunction(function):
        raise ValueError(f"{group}._target_={target}: not a function")
    note(source_of(function))
    return function


def _where_it_is(module_name: str, name: str) -> str:
    """Return a remedy for a function of this project that is in another file than the target says, or ""."""
    root = Path(__file__).parents[1]
    if module_name.split(".")[0] != root.name:
        return ""
    defining = re.compile(rf"^def {re.escape(name)}\(", re.MULTILINE)
    files = [file for file in sorted(root.rglob("*.py")) if defining.search(file.read_text(encoding="utf-8"))]
    names = [".".join([*file.relative_to(root.parent).with_suffix("").parts, name]) for file in files]
    return f"; write {' or '.join(names)}" if names else ""


def name_of(node: Mapping[str, Any]) -> str:
    """Return the name of a component: the file name for ours, the function name for others."""
    *packages, module, function = str(node["_target_"]).split(".")
    if "worlds" in packages:
        return packages[-1]  # a world has a folder with one file per component
    return module if packages[:1] == ["apm_exp"] else function


def _settings(function: Function) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def setting_names(function: Function) -> list[str]:
    """Return the names of a component's settings."""
    return list(_settings(function))


def required_names(function: Function) -> list[str]:
    """Return the names of the settings that have no default."""
    return [name for name, p in _settings(function).items() if p.default is inspect.Parameter.empty]


def positional_names(function: Function) -> list[str]:
    """Return the names of the parameters that the stage passes to a component."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


def settings_of(function: Function, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a node that belongs to `function`: the values of its keyword-only parameters."""
    return {name: node[name] for name in _settings(function) if name in node}


def identifying(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node without the settings that its function declares as UNHASHED, for the cache key.

    Raises ValueError as `locate`; a node without a `_target_` is returned unchanged.
    """
    if "_target_" not in node:
        return dict(node)
    declared = _settings(locate("config", node))
    return {key: value for key, value in node.items() if key not in declared or not _is_unhashed(declared[key])}


def _is_unhashed(setting: inspect.Parameter) -> bool:
    return UNHASHED in getattr(setting.annotation, "__metadata__", ())


def _message(group: str, error: Mapping[str, Any], names: Iterable[str], values: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{group}.{key} is missing: give {group}.{key}=VALUE"
    if error["type"] == "extra_forbidden":
        remedy = hint_for_setting(f"{group}.{key}", typed(error["input"])) or nearest(key, names)
        return f"{group}.{key}={error['input']}: no such setting; {remedy}"
    message = error["msg"].removeprefix("Value error, ")  # raised by a setting's own check
    place = f"{group}.{_place(error['loc'], values)}"
    remedy = hint_for_value(place.removeprefix("."), typed(error["input"])) or value_hint(error)
    return f"{place}={typed(error['input'])}: {message[0].lower()}{message[1:]}{f'; {remedy}' if remedy else ''}"


def typed(value: Any) -> str:
    """Return a value as it is typed: null, not None."""
    known = {None: "null", True: "true", False: "false"}
    return known[value] if value is None or isinstance(value, bool) else str(value)


def _place(parts: Sequence[Any], values: Mapping[str, Any]) -> str:
    """Return the setting of an error, with the name inside it if its value is a mapping."""
    first, *rest = parts
    inner = values.get(first)
    if rest and isinstance(inner, Mapping) and rest[0] in inner:
        return f"{first}.{_place(rest, inner)}"
    return str(first)


def check(group: str, node: Mapping[str, Any], functions: Iterable[Function]) -> None:
    """Check the names, types and ranges of a node's values against the settings of `functions`.

    Raises ValueError with one `group.key=value: what is wrong` for every problem, on one line.
    """
    parameters = {name: p for function in functions for name, p in _settings(function).items()}
    fields: dict[str, Any] = {
        name: (p.annotation, ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in parameters.items()
    }
    rules = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    model = create_model("Settings", __config__=rules, **fields)
    values = {key: value for key, value in node.items() if key != "_target_"}
    try:
        model.model_validate(values)
    except ValidationError as error:
        problems = [_message(group, problem, parameters, values) for problem in error.errors()]
        raise ValueError(" | ".join(dict.fromkeys(problems))) from None


def bind(group: str, node: Mapping[str, Any], also: Iterable[Function] = ()) -> partial[Any]:
    """Return the function of a node with its settings bound.

    also: further functions whose settings may be in the same node. Raises ValueError as `locate` and `check`.
    """
    function = locate(group, node)
    check(group, node, (function, *also))
    return partial(function, **settings_of(function, node))
