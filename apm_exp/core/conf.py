"""The folder of the shipped configuration, and the options of its groups."""

from pathlib import Path


def conf_folder() -> Path:
    """Return the configuration folder: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def options_of(group: str) -> list[str]:
    """Return the options of a configuration group that ship with the project."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
