"""The fields of the pairs that a loss reads, from its compiled code: nothing is called, and torch is not imported."""

import inspect
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from apm_exp.core import component
from apm_exp.core.component import Function

NO_REWARDS = "add reward columns to the data, or use another reward= or loss="
_REFERENCE = {"reference_chosen_logp_B", "reference_rejected_logp_B"}
_REWARDS = {"rewards_margin_B", "explicit_margin_B"}


def reads_reference(loss: Mapping[str, Any]) -> bool:
    """Return whether a loss node reads the log-probs of the reference."""
    return not _REFERENCE.isdisjoint(_names(component.locate("loss", loss)))


def reads_rewards(loss: Mapping[str, Any]) -> bool:
    """Return whether a loss node reads the rewards of the pairs."""
    return not _REWARDS.isdisjoint(_names(component.locate("loss", loss)))


def _names(loss: Function) -> set[str]:
    """Return all names in the code of a function, and of the functions of trusted packages that it names."""
    names: set[str] = set()
    seen, waiting = {loss}, [loss]
    while waiting:
        function = inspect.unwrap(waiting.pop())
        own = {name for code in _codes(function.__code__) for name in code.co_names}
        new = {called for called in _named(function, own) if called not in seen}
        names, seen, waiting = names | own, seen | new, [*waiting, *new]
    return names


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named(function: FunctionType, names: set[str]) -> Iterator[FunctionType]:
    """Yield the functions with these names: those of the function's module, and those of modules that it has."""
    known = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [each for each in known if isinstance(each, ModuleType) and _is_trusted(each.__name__)]
    known += [getattr(module, name, None) for module in modules for name in names]
    yield from (each for each in known if isinstance(each, FunctionType) and _is_trusted(each.__module__))


def _is_trusted(module: str) -> bool:
    return module.partition(".")[0] in component.trusted()
