"""A disk that runs full stops the step with the cause; nothing half-written is read, and the same command goes on."""

import errno
import multiprocessing
import resource
import signal
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.core.errors import FAILURE, one_line
from apm_exp.core.files import write_parquet
from apm_exp.pipeline.build import build
from apm_exp.pipeline.step import Step, read_done

VERSION = 1
ROWS = 100_000


def write_table(out: Path, *, rows: int) -> dict[str, int]:
    """A stage that writes a table of some 100 kB."""
    write_parquet(pa.table({"row": [f"row {row * 7919 % rows}" for row in range(rows)]}), out / "table.parquet")
    return {"rows": rows}


def the_step(root: Path) -> Step:
    return Step("tables", "", "test", write_table, {"rows": ROWS}, root, FileDigests(root / "digests.json"))


def _build_with_little_room(root: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # what no file may exceed, in bytes
    try:
        build(the_step(root))
    except OSError as error:
        sys.exit(0 if error.errno == errno.EFBIG and "while building" in one_line(error) else 3)
    sys.exit(4)


def test_a_write_that_fails_leaves_no_table_and_is_repeated(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_build_with_little_room, args=(tmp_path,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    folder = the_step(tmp_path).folder
    assert not (folder / "table.parquet").exists()
    assert "OSError" in (folder / "failed.txt").read_text()
    assert read_done(the_step(tmp_path)) is None
    assert pq.read_table(build(the_step(tmp_path)).path / "table.parquet").num_rows == ROWS


def test_the_line_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    from apm_exp.core.errors import say

    error = OSError(errno.ENOSPC, "No space left on device")
    error.add_note("while building outputs/logps/x")
    assert say(error) == FAILURE
    assert caplog.messages == [
        "OSError: [Errno 28] No space left on device (while building outputs/logps/x); free disk space or "
        "set another output_root, and re-run the command: finished steps are kept"
    ]
