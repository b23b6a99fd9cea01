"""What may stand in the place of a file and stop whoever opens it: pipes, sockets, devices, links to nowhere."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.digest import local_paths

_SETTINGS = (("dataset", "path"), ("model", "path"), ("model", "chat_template"), ("reward", "path"), ("keep", "path"))
_IGNORED = {".git", "__pycache__", ".cache"}  # no part of what identifies a folder
_KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))


def refuse_odd_files(config: Mapping[str, Any]) -> None:
    """Raise ValueError with the setting if a path that is read, or anything in a folder that is, is no file."""
    for group, name in _SETTINGS:
        path = (config[group] or {}).get(name)
        for file in (inner for found in local_paths(path) for inner in _files(found)):
            if kind := odd_kind(file):
                raise ValueError(f"{group}.{name}={path}: {file} is {kind}, not a file; remove it or give another path")


def odd_kind(file: Path) -> str | None:
    """What a path is that is neither a file nor a folder, or None."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        return "a link to nowhere"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "something else")


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for parent, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - _IGNORED)
        yield from (Path(parent) / name for name in sorted(names))
