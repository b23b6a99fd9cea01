"""The user's own configuration folders: no option of theirs may have the name of one that ships, which Hydra takes."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from apm_exp.cli.flags import long_name


def check_own_options(arguments: Sequence[str], shipped: Path) -> None:
    """Raise ValueError for a file below --config-dir or hydra.searchpath that Hydra would pass over without a word."""
    for folder in _folders(arguments):
        for path in sorted(folder.rglob("*.yaml")):
            name = path.relative_to(folder)
            if (shipped / name).is_file():
                kind = "an option" if name.parent.parts else "the configuration"
                remedy = f"rename it, as {name.with_stem('my_' + name.stem)}"
                raise ValueError(f"{path}: has the name of {kind} that ships, which would be taken instead; {remedy}")
            _check_text(path)


def own_options_of(group: str, arguments: Sequence[str]) -> list[str]:
    """The options of a group that the user's own folders have."""
    return sorted(path.stem for folder in _folders(arguments) for path in (folder / group).glob("*.yaml"))


def _check_text(path: Path) -> None:
    """Raise ValueError for a file that is not UTF-8, of which YAML's reader names no file."""
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def _folders(arguments: Sequence[str]) -> list[Path]:
    """The folders that are named on the command line."""
    found = [after for argument, after in pairwise(arguments) if long_name(argument) == "--config-dir"]
    for argument in arguments:
        name, _, value = argument.partition("=")
        if long_name(name) == "--config-dir":
            found.append(value)
        if name.lstrip("+") == "hydra.searchpath":
            found += _searched(argument, value)
    return [Path(text) for text in found if text]


def _searched(argument: str, value: str) -> list[str]:
    """The folders of a search path. Raises ValueError for one that is not there, which Hydra only warns of."""
    entries = ["".join(entry).strip() for entry in re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\[\],'\"]+)", value)]
    folders = [entry.removeprefix("file://") for entry in entries if entry and not entry.startswith("pkg://")]
    for folder in folders:
        if value.strip().startswith("[") and not Path(folder).is_dir():
            raise ValueError(f"{argument}: there is no folder {folder}; give folders with options of your own")
    return folders
