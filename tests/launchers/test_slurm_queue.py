"""How long a command waits for its jobs, by what squeue prints; tests/cluster asks a real one."""

import os
from pathlib import Path

import pytest

from apm_exp.cli.multirun import slurm_queue
from apm_exp.cli.multirun.slurm_queue import ended_jobs

SAYS = """#!/bin/sh
echo >> {calls}
case $(wc -l < {calls}) in
1) echo "7_0 RUNNING"; echo "7_1 PENDING" ;;
2) echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1 ;;
3) echo "7_0 COMPLETING"; echo "7_1 REQUEUED" ;;
4) echo "7_0 NODE_FAIL"; echo "7_1 RUNNING" ;;
*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1 ;;
esac
"""


def test_jobs_are_waited_for_until_they_have_ended_or_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program := tmp_path / "squeue").write_text(SAYS.format(calls=tmp_path / "calls"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm_queue, "_FIRST_PAUSE", 0.0)
    assert list(ended_jobs(["7_0", "7_1"])) == [("7_0", "NODE_FAIL"), ("7_1", "")]
    assert (tmp_path / "calls").read_text().count("\n") == 5
    assert capsys.readouterr().err.count("error: squeue fails") == 1
