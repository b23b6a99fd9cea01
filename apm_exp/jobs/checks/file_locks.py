"""Check that a folder's file system can lock files, without which jobs would build the same step more than once."""

import os
from pathlib import Path
from typing import IO

_MOUNTS = Path("/proc/mounts")


def check_lockable(file: IO[bytes], folder: Path, root: Path) -> None:
    """Lock a new file in `folder`; raise a one-line ValueError about `output_root`=`root` if that fails.

    No other process knows the file, so a failure is due to the file system.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which has other locks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ValueError(
            f"output_root={root}: {_described(folder)} cannot lock files ({os.strerror(error.errno or 0)}), so jobs "
            "would overwrite each other's steps; use an output_root= on another file system, or mount this one with "
            "locks"
        ) from error


def _described(folder: Path) -> str:
    kind, mount = mount_of(folder)
    return f"the file system of {folder}" if kind is None else f"{mount} (file system {kind})"


def mount_of(folder: Path, mounts: Path = _MOUNTS) -> tuple[str | None, str]:
    """Return the type of a folder's file system, None if it is unknown, and its mount point.

    mounts: the system's list, with one line per mount: device, folder, type, options.
    """
    if not mounts.is_file():
        return None, ""
    held: tuple[str | None, str] = (None, "")
    for line in mounts.read_text().splitlines():
        mount, kind = (_unescaped(word) for word in line.split()[1:3])
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(held[1]):  # a later mount hides an earlier one
            held = kind, mount
    return held


def _unescaped(word: str) -> str:
    """Return a name of the system's list without its escapes, such as \\040 for a space."""
    return word.encode().decode("unicode_escape") if "\\" in word else word
