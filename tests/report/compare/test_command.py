"""The baseline on the command line, and what a job's record says of its steps."""

from pathlib import Path

from apm_exp.core.artifact import Artifact
from apm_exp.jobs.record import step_records
from tests.command import apm_exp


def test_a_baseline_that_no_job_has_is_an_error_before_job_0(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "-m", "metric=map,explicit", "seed=0,1", "baseline=uniform")
    said = "baseline=uniform: no arm of this sweep has it; give a value that is swept: explicit, map"
    assert (result.returncode, result.stderr) == (2, f"error: {said}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_step_is_named_by_its_place_below_output_root(tmp_path: Path) -> None:
    built = Artifact("logps", tmp_path / "logps" / "a-1", "k", {"pairs": 3}, 1.5, reused=False, build="b1")
    found = step_records({"logps": built}, tmp_path)
    assert found == {
        "logps": {
            "key": "k",
            "build": "b1",
            "folder": "logps/a-1",
            "seconds": 1.5,
            "counts": {"pairs": 3},
            "reused": False,
        }
    }
