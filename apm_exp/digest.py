"""Digests of files and folders, remembered by path, size and time so that weights are read once."""

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.files import write_json

_IGNORED_NAMES = {".git", "__pycache__", ".cache"}


def text_digest(text: str) -> str:
    """sha256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(content: Any) -> str:
    """One text for equal contents: JSON with sorted keys and no spaces; 1 and 1.0 are one number."""
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _plain(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(item) for item in content]
    return int(content) if isinstance(content, float) and content.is_integer() else content


class FileDigests:
    """sha256 of files, remembered in one JSON file by absolute path, size and modification time."""

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.known: dict[str, str] = self._read()

    def _read(self) -> dict[str, str]:
        try:
            return json.loads(self.memory.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def of_file(self, path: Path) -> str:
        """sha256 of a file's content."""
        name = _name(path)
        if name not in self.known:
            with path.open("rb") as content:
                self.known[name] = hashlib.file_digest(content, "sha256").hexdigest()
        return self.known[name]

    def of_path(self, path: Path) -> str:
        """A file's digest, or one digest of a folder's relative file names and contents."""
        if path.is_file():
            return self.of_file(path)
        return text_digest(canonical({str(f.relative_to(path)): self.of_file(f) for f in _files(path)}))

    def knows(self, path: Path) -> bool:
        """Whether of_path would read nothing."""
        return all(_name(file) in self.known for file in ([path] if path.is_file() else _files(path)))

    def save(self) -> None:
        """Remember what was learned; entries of other processes are kept."""
        merged = self._read() | self.known
        if merged != self._read() and self.memory.parent.is_dir():
            write_json(merged, self.memory)


def _name(file: Path) -> str:
    status = file.stat()
    return f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def _files(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _IGNORED_NAMES)
        yield from (Path(parent) / name for name in sorted(names))


def local_paths(value: Any) -> list[Path]:
    """The existing files or folders that a setting called `path` names: a path, a glob pattern or a list of them."""
    patterns = value if isinstance(value, list) else [value]
    if not all(isinstance(pattern, str) for pattern in patterns):
        return []
    named = map(os.path.expanduser, patterns)
    found = [Path(name) for p in named for name in ([p] if os.path.exists(p) else sorted(glob.glob(p)))]
    return found
