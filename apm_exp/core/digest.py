"""Digests of files and folders, cached so that weights are read once."""

import glob
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.files import write_json

logger = logging.getLogger(__name__)
_IGNORED_NAMES = {".git", "__pycache__", ".cache"}
_SETTLED = 2.0  # seconds; file systems may not distinguish two changes within this time
_SEAL = "sha256"  # cannot collide with a path, as paths are absolute here
Known = list[int | str]  # the result of _state, then the sha256


def text_digest(text: str) -> str:
    """Return the sha256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(content: Any) -> str:
    """Return one text for equal contents: JSON with sorted keys and no spaces; 1 and 1.0 count as equal."""
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _plain(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(item) for item in content]
    return int(content) if isinstance(content, float) and content.is_integer() else content


class FileDigests:
    """A cache of the sha256 of files in one JSON file: by path, valid for the file's size, times and inode.

    The modification time alone is not sufficient, as tar and reproducible builds set it; the change time cannot be set.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.known: dict[str, Known] = self._read()

    def _read(self) -> dict[str, Known]:
        """Return the cached entries: none if the cache's own digest does not match, as a wrong entry would be a wrong
        key.
        """
        try:
            content = json.loads(self.memory.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict) or content.pop(_SEAL, None) != text_digest(canonical(content)):
            return {}
        return content

    def of_file(self, path: Path) -> str:
        """Return the sha256 of a file's content. It is not cached for a file that has just changed and may change
        again.
        """
        name, state = str(path.resolve()), _state(path)
        if (known := self._known(name, state)) is not None:
            return known
        started = time.time()
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if _state(path) == state and started - state[-1] / 1e9 >= _SETTLED:
            self.known[name] = [*state, digest]
        return digest

    def of_path(self, path: Path) -> str:
        """Return a file's digest, or for a folder one digest of its relative file names and contents."""
        if path.is_file():
            return self.of_file(path)
        return text_digest(canonical({str(f.relative_to(path)): self.of_file(f) for f in self._files(path)}))

    def knows(self, path: Path) -> bool:
        """Return whether of_path would use cached digests only."""
        files = [path] if path.is_file() else self._files(path)
        return all(self._known(str(file.resolve()), _state(file)) is not None for file in files)

    def save(self) -> None:
        """Write the new entries, merged with those of other processes; a failed write is only a warning."""
        merged = (before := self._read()) | self.known
        if merged == before or not self.memory.parent.is_dir():
            return
        try:
            write_json({**merged, _SEAL: text_digest(canonical(merged))}, self.memory)
        except OSError as error:
            logger.warning("%s: cannot be written (%s); the next command reads the files again", self.memory, error)

    def _known(self, name: str, state: list[int]) -> str | None:
        *then, digest = self.known.get(name, [None])
        return str(digest) if then == state else None

    def _files(self, folder: Path) -> Iterable[Path]:
        """Yield the files of a folder, except those that runs write if output_root is inside it."""
        written = self.memory.parent.resolve()
        for parent, folders, names in os.walk(folder):
            within = sorted(set(folders) - _IGNORED_NAMES)
            folders[:] = [name for name in within if Path(parent, name).resolve() != written]
            yield from (Path(parent) / name for name in sorted(names))


def _state(file: Path) -> list[int]:
    """Return size, modification time, inode and change time; they are equal only if the content is."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns]


def local_paths(value: Any) -> list[Path]:
    """Return the existing files or folders of a setting called `path`: a path, a glob pattern, or a list of them."""
    patterns = value if isinstance(value, list) else [value]
    if not all(isinstance(pattern, str) for pattern in patterns):
        return []
    named = map(os.path.expanduser, patterns)
    paths = [Path(name) for p in named for name in ([p] if os.path.exists(p) else sorted(glob.glob(p)))]
    return paths
