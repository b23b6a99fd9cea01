"""Removal of this machine's folders from published text."""

import html
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from apm_exp.core.credentials import flatten

_ABSOLUTE = re.compile(r"""(^|[=\[,\s'"])(~?/[^,\]'"]*)""")


def last_parts(text: str) -> str:
    """Return a word of a command line with each absolute path replaced by its last part."""
    return _ABSOLUTE.sub(lambda match: match[1] + PurePath(match[2]).name, text)


def public_command(command: str) -> str:
    """Return a command line without the folders of the machine on which it was typed."""
    return shlex.join(map(last_parts, shlex.split(command)))


def replay_command(command: str, folder: str) -> str:
    """Return the command line that selects the pairs of an exported folder again, derived from the run's command."""
    words = [word for word in shlex.split(command) if not re.match(r"[+~]*(keep(\.\w+)?|output_root|rebuild)=", word)]
    return shlex.join([*map(last_parts, words), "keep=ids", f"keep.path={folder}"])


_PATH = re.compile(r"(?:^|(?<=[\s='\",:\[]))/[^\s'\",\]]+")


def local_folders(config: Mapping[str, Any], command: str) -> list[str]:
    """Return the folders of all absolute paths in a configuration and a command, longest first.

    The working directory, its parent and the home directory are included.
    """
    values = [item for _, value in flatten(config) for item in (value if isinstance(value, list) else [value])]
    texts = [value for value in values if isinstance(value, str)]
    paths = [Path(text) for text in texts if text.startswith("/")]
    paths += [Path(path) for text in (*texts, command) for path in _PATH.findall(text)]
    folders = {str(path.parent) for path in paths} | {str(Path.cwd()), str(Path.cwd().parent), str(Path.home())}
    return sorted(folders - {"/", "."}, key=len, reverse=True)


def without_folders(value: Any, folders: Iterable[str]) -> Any:
    """Return a text, or a nested configuration, in which `.../` replaces each folder at the start of a path."""
    if isinstance(value, Mapping):
        return {key: without_folders(item, folders) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item, folders) for item in value]
    if not isinstance(value, str):
        return value
    for folder in folders:
        for spelled in {folder, html.escape(folder)}:
            value = re.sub(rf"(?<![\w.+/-]){re.escape(spelled)}/", ".../", value)
    return value
