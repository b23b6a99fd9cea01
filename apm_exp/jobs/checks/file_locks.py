"""Whether a folder's file system can lock files, which is how jobs that want the same step build it once."""

import os
from pathlib import Path
from typing import IO

_MOUNTS = Path("/proc/mounts")


def check_lockable(file: IO[bytes], folder: Path, root: Path) -> None:
    """Lock a file that was just made in `folder`; raises a one-line ValueError about `output_root`=`root` if it fails.

    Nobody else knows the file, so that any refusal is the file system's.
    """
    try:
        import fcntl
    except ImportError:  # Windows, whose locks are of another kind
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ValueError(
            f"output_root={root}: {_described(folder)} cannot lock files ({os.strerror(error.errno or 0)}), so jobs "
            "would build the same step over each other; give output_root= on another file system, or have this one "
            "mounted with locks"
        ) from error


def _described(folder: Path) -> str:
    kind, mount = mount_of(folder)
    return f"the file system of {folder}" if kind is None else f"{mount} (file system {kind})"


def mount_of(folder: Path, mounts: Path = _MOUNTS) -> tuple[str | None, str]:
    """The type of the file system that holds a folder, None where the system does not tell, and where it is mounted.

    mounts: the system's list, a line a mount: device, folder, type, options.
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
    """A space in a name is written \\040 there."""
    return word.encode().decode("unicode_escape") if "\\" in word else word
