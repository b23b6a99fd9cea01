"""What is published names no folder of this machine."""

import html
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from apm_exp.core.credentials import flatten

_ABSOLUTE = re.compile(r"""(^|[=\[,\s'"])(~?/[^,\]'"]*)""")


def last_parts(text: str) -> str:
    """A word of a command line with the last part of each absolute path in the place of the path."""
    return _ABSOLUTE.sub(lambda found: found[1] + PurePath(found[2]).name, text)


def public_command(command: str) -> str:
    """A command line without the folders of the machine on which it was typed."""
    return shlex.join(map(last_parts, shlex.split(command)))


def replay_command(command: str, folder: str) -> str:
    """The command line that chooses the pairs of an exported folder again, from the one that made the run."""
    words = [word for word in shlex.split(command) if not re.match(r"[+~]*(keep(\.\w+)?|output_root|rebuild)=", word)]
    return shlex.join([*map(last_parts, words), "keep=ids", f"keep.path={folder}"])


_PATH = re.compile(r"(?:^|(?<=[\s='\",:\[]))/[^\s'\",\]]+")


def local_folders(config: Mapping[str, Any], command: str) -> list[str]:
    """The folders, longest first, of all absolute paths that a configuration and a command name; also the working
    directory and the user's own.
    """
    values = [item for _, value in flatten(config) for item in (value if isinstance(value, list) else [value])]
    texts = [value for value in values if isinstance(value, str)]
    paths = [Path(text) for text in texts if text.startswith("/")]
    paths += [Path(found) for text in (*texts, command) for found in _PATH.findall(text)]
    folders = {str(path.parent) for path in paths} | {str(Path.cwd()), str(Path.cwd().parent), str(Path.home())}
    return sorted(folders - {"/", "."}, key=len, reverse=True)


def without_folders(value: Any, folders: Iterable[str]) -> Any:
    """A text, or all texts of a nested configuration, with `.../` in the place of each folder that begins a path."""
    if isinstance(value, Mapping):
        return {key: without_folders(item, folders) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item, folders) for item in value]
    if not isinstance(value, str):
        return value
    for folder in folders:
        for spelt in {folder, html.escape(folder)}:
            value = re.sub(rf"(?<![\w.+/-]){re.escape(spelt)}/", ".../", value)
    return value
