"""The source files of components: which they are, and their content when their code was loaded."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

_loaded: dict[Path, str] = {}  # source files, with the sha256 that each had when its code was loaded


def source_of(function: Callable[..., Any]) -> Path:
    """Return the file that contains a function, not that of a decorator (`torch.no_grad()`) around it."""
    return Path(inspect.getfile(inspect.unwrap(function)))


def loaded_source(file: Path) -> str | None:
    """Return the sha256 that a source file had when its function was first located; None if it could not be read."""
    return _loaded.get(file)


def note_sources(packages: Collection[str]) -> None:
    """Record the sources of the loaded modules of packages, which may be edited before a later job starts."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in packages:
            note(Path(getattr(module, "__file__", None) or ""))


def note(file: Path) -> None:
    """Record the sha256 of a source file if it is not recorded yet."""
    if file not in _loaded and file.is_file():
        _loaded[file] = hashlib.sha256(file.read_bytes()).hexdigest()
