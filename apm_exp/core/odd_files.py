"""Detection of paths that are not regular files and would block a reader: pipes, sockets, devices, broken links."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.digest import local_paths
from apm_exp.core.nested import every

_SETTINGS = ("path", "chat_template")
_IGNORED = {".git", "__pycache__", ".cache"}  # these do not count towards a folder's digest
_KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))


def refuse_odd_files(config: Mapping[str, Any]) -> None:
    """Raise ValueError with the setting if an input path, or anything in an input folder, is not a regular file."""
    nodes = ((place, node) for group, value in config.items() for place, node in every(group, value))
    for setting, path in ((f"{place}.{name}", node.get(name)) for place, node in nodes for name in _SETTINGS):
        for file in (inner for outer in local_paths(path) for inner in _files(outer)):
            if kind := odd_kind(file):
                raise ValueError(
                    f"{setting}={path}: {file} is {kind}, not a regular file; remove it or set another path"
                )


def odd_kind(file: Path) -> str | None:
    """Return the type of a path that is neither a file nor a folder (a pipe, a socket, ...), or None."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        return "a broken link"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for parent, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - _IGNORED)
        yield from (Path(parent) / name for name in sorted(names))
