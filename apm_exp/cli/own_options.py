"""The user's own configuration folders, whose options must not have the names of shipped options."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from apm_exp.cli.flags import long_name


def check_own_options(arguments: Sequence[str], shipped: Path) -> None:
    """Raise ValueError for a file below --config-dir or hydra.searchpath that Hydra would silently ignore."""
    for folder in _folders(arguments):
        for path in sorted(folder.rglob("*.yaml")):
            name = path.relative_to(folder)
            if (shipped / name).is_file():
                kind = "an option" if name.parent.parts else "the configuration"
                remedy = f"rename it, as {name.with_stem('my_' + name.stem)}"
                raise ValueError(
                    f"{path}: has the same name as {kind} that is shipped, which would be used instead; {remedy}"
                )
            _check_text(path)


def own_options_of(group: str, arguments: Sequence[str]) -> list[str]:
    """Return the options of a group in the user's own folders."""
    return sorted(path.stem for folder in _folders(arguments) for path in (folder / group).glob("*.yaml"))


def _check_text(path: Path) -> None:
    """Raise ValueError for a file that is not UTF-8; the YAML reader's error does not name the file."""
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def _folders(arguments: Sequence[str]) -> list[Path]:
    """Return the folders that are named on the command line."""
    folders = [after for argument, after in pairwise(arguments) if long_name(argument) == "--config-dir"]
    for argument in arguments:
        name, _, value = argument.partition("=")
        if long_name(name) == "--config-dir":
            folders.append(value)
        if name.lstrip("+") == "hydra.searchpath":
            folders += _searched(argument, value)
    return [Path(text) for text in folders if text]


def _searched(argument: str, value: str) -> list[str]:
    """Return the folders of a search path. Raises ValueError for a missing one, for which Hydra only logs a warning."""
    entries = ["".join(entry).strip() for entry in re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\[\],'\"]+)", value)]
    folders = [entry.removeprefix("file://") for entry in entries if entry and not entry.startswith("pkg://")]
    for folder in folders:
        if value.strip().startswith("[") and not Path(folder).is_dir():
            raise ValueError(f"{argument}: there is no folder {folder}; give folders with your own options")
    return folders
