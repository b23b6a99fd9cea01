"""Errors that have a remedy say it, whoever raises them."""

import errno

import pytest

from apm_exp.core.errors import known_remedy, one_line

ROOM = "; free disk space or set another output_root, and re-run the command: finished steps are kept"

IN_THE_WAY = "; this path is needed for an output: move it elsewhere and re-run the command"


class SafetensorError(Exception):
    """As safetensors', which is no OSError."""


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ROOM),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), ROOM),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), ROOM),
        (RuntimeError("Could not determine home directory."), "; set HOME to a writable folder"),
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
        "standard output: the reading process ended before everything was printed"
    )
