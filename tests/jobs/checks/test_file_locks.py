"""A file system that cannot lock is found before any work, and named."""

import errno
import fcntl
from pathlib import Path

import pytest

from apm_exp.jobs.checks import file_locks as lockable
from apm_exp.jobs.checks import preflight

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
nas:/home /home nfs4 rw,nolock 0 0
none /home/my\\040runs lustre rw,noflock 0 0
/dev/sdb1 /homework xfs rw 0 0
"""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_no_locks_is_one_line_that_names_the_file_system_and_the_setting(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lockable, "mount_of", lambda folder: ("nfs", "/mnt/shared"))
    with pytest.raises(ValueError, match=r"^output_root=.*/new: /mnt/shared \(file system nfs\) cannot lock files"):
        preflight._check_writable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_locks_is_fine(tmp_path: Path) -> None:
    preflight._check_writable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "held"),
    [
        ("/home/a/outputs", ("nfs4", "/home")),
        ("/home/my runs/1", ("lustre", "/home/my runs")),
        ("/homework/1", ("xfs", "/homework")),
        ("/var", ("ext4", "/")),
    ],
)
def test_the_mount_that_holds_a_folder(folder: str, held: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    assert lockable.mount_of(Path(folder), tmp_path / "mounts") == held


def test_without_a_list_of_mounts_the_folder_is_named(tmp_path: Path) -> None:
    assert lockable.mount_of(tmp_path, tmp_path / "absent") == (None, "")
