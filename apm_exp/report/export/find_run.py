"""The lookup of a run by name."""

from pathlib import Path

from apm_exp.core.errors import UsageError

_NEWEST_SHOWN = 3
LATEST = "latest"  # the name of a link to the newest run


def find_run(root: Path, asked: str) -> Path:
    """Return the folder of a run: `latest`, a name below root/runs, an unambiguous part of a name, or a path.

    Raises UsageError `run=...` with the newest names if there is none, or more than one.
    """
    names, latest = _newest_first(root / "runs"), root / "runs" / LATEST
    # a copied output folder may lack the link, or have a folder in its place
    if asked == LATEST and names and not latest.is_symlink():
        return (root / "runs" / names[0]).resolve()
    for folder in (root / "runs" / asked, Path(asked).expanduser()):
        if (folder / "config.yaml").is_file():
            return folder.resolve()
    fitting = [name for name in names if asked in name]
    if len(fitting) == 1:
        return (root / "runs" / fitting[0]).resolve()
    if fitting:
        raise UsageError(
            f"run={asked}: matches {len(fitting)} runs, the newest {_listed(fitting)}; give more of the name"
        )
    if not names:
        raise UsageError(f"run={asked}: there are no runs below {root / 'runs'}; run one, or set output_root=")
    raise UsageError(f"run={asked}: no such run; the newest are {_listed(names)}")


def _newest_first(runs: Path) -> list[str]:
    """Return the names of all runs, newest first; a name starts with the time at which the run began."""
    records = (path.parent for path in runs.glob("*/config.yaml"))
    return sorted(
        (name for name in (folder.name for folder in records) if not name.startswith((".", LATEST))), reverse=True
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NEWEST_SHOWN]) + (", ..." if len(names) > _NEWEST_SHOWN else "")
