"""task=clean: list what no run needs, with sizes and reasons, and delete it if clean.delete=true."""

from collections.abc import Sequence
from pathlib import Path

from apm_exp.core.console import print_line, shown
from apm_exp.jobs.clean.delete import delete
from apm_exp.jobs.clean.folders import StepFolder, step_folders
from apm_exp.jobs.clean.leftovers import Leftover, goes_on, leftovers


def clean(root: Path, *, delete_found: bool) -> None:
    """Print the folders that no run in `root` needs, and delete them if `delete_found`, without confirmation.

    Raises ValueError if something could not be deleted, after trying the rest; and UsageError, before anything is
    deleted, if a record of a run or sweep cannot be read.
    """
    if not root.is_dir():
        print_line(f"output_root={root}: no such folder, so there is nothing to clean")
        return
    found = list(leftovers(root))
    if found:
        _print(found)
    _print_unfinished(root)
    if not found:
        print_line(f"output_root={root}: every step is needed by a run or a sweep; nothing to clean")
    elif not delete_found:
        print_line(f"{_total(found)} that no run needs; task=clean clean.delete=true deletes it")
    else:
        _delete(root, found)


def _print(found: Sequence[Leftover]) -> None:
    widest = max(len(leftover.why) for leftover in found)
    for leftover in found:
        print_line(f"{shown(leftover.size):>9}  {leftover.why:<{widest}}  {leftover.path}")


def _print_unfinished(root: Path) -> None:
    """Print the unfinished steps that are kept as long as the record of their run exists."""
    kept: list[StepFolder] = [folder for folder in step_folders(root) if not folder.aside and goes_on(folder)]
    for folder in kept:
        print_line(f"unfinished, its command resumes from it: {folder.path}")


def _delete(root: Path, found: Sequence[Leftover]) -> None:
    gone: list[Leftover] = []
    failed: list[str] = []
    for leftover in found:
        try:
            if delete(root, leftover):
                gone.append(leftover)
            else:
                print_line(f"kept: {leftover.path} is needed again")
        except OSError as error:
            failed.append(f"{leftover.path} ({error.strerror})")
    print_line(f"{_total(gone)} deleted")
    if failed:
        raise ValueError(f"output_root={root}: {len(failed)} could not be deleted, the first: {failed[0]}")


def _total(found: Sequence[Leftover]) -> str:
    folders = "1 folder" if len(found) == 1 else f"{len(found)} folders"
    return f"{folders} with {shown(sum(leftover.size for leftover in found))}"
