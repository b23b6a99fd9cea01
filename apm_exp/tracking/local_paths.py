"""Folders of this machine, taken out of what is sent: `/home/me/pairs.jsonl` is sent as `.../pairs.jsonl`."""

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from apm_exp.secrets_check import flatten

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
