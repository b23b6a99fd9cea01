"""The folder of the shipped configuration and its options."""

from pathlib import Path


def conf_folder() -> Path:
    """The configuration: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def options_of(group: str) -> list[str]:
    """The options of a configuration group that ship with the project."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))
