"""Nested nodes: components that are settings of other components, at any depth, in mappings and lists."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.component import Function
from apm_exp.core.told import ask

Node = Mapping[str, Any]
Change = Callable[[str, Node], Node]


def every(place: str, value: Any) -> Iterator[tuple[str, Node]]:
    """Yield each node in a value, outer ones first, with its dotted name."""
    if isinstance(value, Mapping) and "_target_" in value:
        yield place, value
    yield from _inside(place, value)


def _inside(place: str, value: Any) -> Iterator[tuple[str, Node]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for name, item in items:
        yield from every(f"{place}.{name}", item)


def changed(place: str, value: Any, change: Change) -> Any:
    """Return a value in which each node is replaced by what `change` returns for its dotted name and the node."""
    if isinstance(value, Mapping):
        parts = {name: changed(f"{place}.{name}", item, change) for name, item in value.items()}
        return change(place, parts) if "_target_" in parts else parts
    if isinstance(value, list | tuple):
        return [changed(f"{place}.{name}", item, change) for name, item in enumerate(value)]
    return value


def check_nodes(group: str, node: Node, companions: Iterable[Function] = ()) -> None:
    """Check a node and those inside it: names, types and ranges, and then with the `check` function of each module.

    companions: functions whose settings are in the outermost node besides those of its component. Raises ValueError as
    `locate` and `component.check`, and for values that are valid individually but not together.
    """
    nodes = [(group, node), *_inside(group, node)]
    for place, each in nodes:
        function = component.locate(place, each)
        component.check(place, each, (function, *(companions if each is node else ())))
    for place, each in reversed(nodes):
        ask(place, each, "check")
