"""What a user's own component raises, as one line that names it."""

import builtins
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).parents[1]
_TYPED = {"evaluation": "evals"}  # what a stage calls one of a group
_OF_THE_MACHINE = (OSError, MemoryError)  # they name what is to be mended by themselves


class _Component(NamedTuple):
    """label: `group._target_=NAME`."""

    file: Path
    function: str
    label: str


@contextmanager
def own_code_named(nodes: Mapping[str, Any]) -> Iterator[None]:
    """In the block: raise what the code of a component of another package raises as ValueError, with its `_target_`
    and the line of its file.

    nodes: the settings of components by group, at any depth. What this project's own code raises, which names its
    setting, and what the machine lacks stays as it is, whoever called it.
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
    found = _called(frames, list(_components(nodes)))
    if found is None or (isinstance(error, ValueError) and Path(frames[-1].filename).is_relative_to(_ROOT)):
        return None
    label, file = found
    last = next(frame for frame in reversed(frames) if Path(frame.filename).is_relative_to(file.parent))
    text = " ".join(str(error).split())
    kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
    return f"{label}: {kind}{text} ({Path(last.filename).name}, line {last.lineno})"


def _called(frames: Iterable[traceback.FrameSummary], components: list[_Component]) -> tuple[str, Path] | None:
    """The component whose function was called, or else another one of its file; with that file."""
    calls = [(Path(frame.filename), frame.name) for frame in frames]
    by_name = (one for call in calls for one in components if call == (one.file, one.function))
    by_file = (one for file, _ in calls for one in components if file == one.file)
    found = next(by_name, None) or next(by_file, None)
    return None if found is None else (found.label, found.file)


def _components(nodes: Mapping[str, Any], group: str = "") -> Iterator[_Component]:
    """Those of other packages that are imported."""
    module_name, _, function = str(nodes.get("_target_", "")).rpartition(".")
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file and not Path(file).is_relative_to(_ROOT):
        yield _Component(Path(file), function, f"{group}._target_={module_name}.{function}")
    for name, node in nodes.items():
        if isinstance(node, Mapping):
            typed = _TYPED.get(name, name)
            yield from _components(node, f"{group}.{typed}" if group else typed)
