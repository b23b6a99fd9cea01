"""Errors that have a remedy say it, whoever raises them."""

import errno

import pytest

from apm_exp.core.errors import known_remedy, one_line

ROOM = "; make room, or give another output_root, and type the command again: finished steps stay"

IN_THE_WAY = "; it is in the way of what is to be written there: move it elsewhere and type the command again"


class SafetensorError(Exception):
    """As safetensors', which is no OSError."""


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ROOM),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), ROOM),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), ROOM),
        (RuntimeError("Could not determine home directory."), "; set HOME to a folder that can be written"),
        (ValueError("seed=x: wrong"), ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ""),
        (RuntimeError("mat1 and mat2"), None),
        (OSError(errno.ENOENT, "No such file"), None),
        (FileExistsError(errno.EEXIST, "File exists", "outputs/.locks"), IN_THE_WAY),
        (FileExistsError("a library's own"), None),
    ],
)
def test_remedies(error: Exception, remedy: str | None) -> None:
    assert known_remedy(error) == remedy


def test_a_reader_that_has_ended() -> None:
    assert one_line(BrokenPipeError(errno.EPIPE, "Broken pipe")) == (
        "standard output: what reads it has ended before all was printed"
    )
