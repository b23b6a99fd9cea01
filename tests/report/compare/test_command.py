"""The baseline on the command line."""

from pathlib import Path

from tests.command import apm_exp


def test_a_baseline_that_no_job_has_is_an_error_before_job_0(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "-m", "metric=map,explicit", "seed=0,1", "baseline=uniform")
    said = "baseline=uniform: no arm of this sweep has it; give a value that is swept: explicit, map"
    assert (result.returncode, result.stderr) == (2, f"error: {said}\n")
    assert list(tmp_path.iterdir()) == []
