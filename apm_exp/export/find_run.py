"""Which run a user means."""

from pathlib import Path

from apm_exp.ending import UsageError

_NEWEST_SHOWN = 3


def find_run(root: Path, asked: str) -> Path:
    """The folder of a run: `latest`, a name below root/runs, a part that only one name has, or a path.

    Raises UsageError `run=...` with the newest names where there is none, or more than one.
    """
    for folder in (root / "runs" / asked, Path(asked).expanduser()):
        if (folder / "config.yaml").is_file():
            return folder.resolve()
    names = _newest_first(root / "runs")
    fitting = [name for name in names if asked in name]
    if len(fitting) == 1:
        return (root / "runs" / fitting[0]).resolve()
    if fitting:
        raise UsageError(f"run={asked}: fits {len(fitting)} runs, the newest {_listed(fitting)}; give more of the name")
    if not names:
        raise UsageError(f"run={asked}: there are no runs below {root / 'runs'}; make one, or give output_root=")
    raise UsageError(f"run={asked}: no such run; the newest are {_listed(names)}")


def _newest_first(runs: Path) -> list[str]:
    """A run's name begins with the time at which it began."""
    records = (path.parent for path in runs.glob("*/config.yaml"))
    return sorted((folder.name for folder in records if not folder.is_symlink()), reverse=True)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NEWEST_SHOWN]) + (", ..." if len(names) > _NEWEST_SHOWN else "")
