"""Errors in a user's own component, reported as one line that names the component."""

import builtins
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).parents[1]
_TYPED = {"evaluation": "evals"}  # the group's name for a stage's argument
_OF_THE_MACHINE = (OSError, MemoryError)  # these errors are clear by themselves


class _Component(NamedTuple):
    """A component of another package. label: `group._target_=NAME`."""

    file: Path
    function: str
    label: str


@contextmanager
def own_code_named(nodes: Mapping[str, Any]) -> Iterator[None]:
    """Convert errors in the code of another package's component to a ValueError with its `_target_`, file and line.

    nodes: the settings of components by group, at any depth. Errors of this project's own code, which name a setting,
    and errors of the machine are not changed, regardless of the caller.
    """
    try:
        yield
    except Exception as error:
        if problem := _problem(error, nodes):
            raise ValueError(problem) from error
        raise


def _problem(error: Exception, nodes: Mapping[str, Any]) -> str | None:
    if isinstance(error, _OF_THE_MACHINE) or type(error).__module__ != builtins.__name__:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    called = _called(frames, list(_components(nodes)))
    if called is None or (isinstance(error, ValueError) and Path(frames[-1].filename).is_relative_to(_ROOT)):
        return None
    label, file = called
    last = next(frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(file.parent))
    text = " ".join(str(error).split())
    kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
    return f"{label}: {kind}{text} ({Path(last.filename).name}, line {last.lineno})"


def _called(frames: Iterable[traceback.FrameSummary], components: list[_Component]) -> tuple[str, Path] | None:
    """Return the component whose function was called, or else another one of its file, with that file."""
    calls = [(Path(frame.filename), frame.name) for frame in frames]
    by_name = (each for call in calls for each in components if call == (each.file, each.function))
    by_file = (each for file, _ in calls for each in components if file == each.file)
    component = next(by_name, None) or next(by_file, None)
    return None if component is None else (component.label, component.file)


def _components(nodes: Mapping[str, Any], group: str = "") -> Iterator[_Component]:
    """Yield the imported components of other packages."""
    module_name, _, function = str(nodes.get("_target_", "")).rpartition(".")
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file and not Path(file).is_relative_to(_ROOT):
        yield _Component(Path(file), function, f"{group}._target_={module_name}.{function}")
    for name, node in nodes.items():
        if isinstance(node, Mapping):
            typed = _TYPED.get(name, name)
            yield from _components(node, f"{group}.{typed}" if group else typed)
