"""Which jobs are one arm, which arm is the baseline, and whether two had equal numbers."""

from typing import Any

import pytest

from apm_exp.report.compare.arms import arms_of
from apm_exp.report.compare.baseline import baseline_of, check_baseline
from apm_exp.report.compare.equal_numbers import unequal_numbers


def job(number: int, policy: str | None, kept: int = 40, steps: int = 4, **swept: str) -> dict[str, Any]:
    """A finished job; without a policy, one that failed."""
    swept = {key.replace("__", "."): value for key, value in swept.items()}
    counts = {"selection": {"kept": kept}, "policy": {"optimizer_steps": steps}}
    made = {name: {"key": f"{policy}-{name}", "counts": each} for name, each in counts.items()}
    state = "done" if policy else "failed"
    return {"number": number, "swept": swept, "state": state, "policy_key": policy, "steps": made if policy else {}}


def test_jobs_that_differ_in_their_seed_are_one_arm() -> None:
    jobs = [
        job(0, "a", metric="map", seed="0"),
        job(2, "c", metric="map", seed="1"),
        job(1, "b", metric="m1", seed="0"),
    ]
    first, second = arms_of(jobs)
    assert (first.label, [one["number"] for one in first.jobs], len(first.by_seed)) == ("map", [0, 2], 2)
    assert second.label == "m1"


def test_a_setting_that_changes_nothing_makes_no_other_arm() -> None:
    jobs = [job(0, "a", metric="map", alpha="1"), job(1, "b", metric="map", alpha="2")]
    jobs += [job(2, "u", metric="uniform", alpha="1"), job(3, "u", metric="uniform", alpha="2")]
    arms = arms_of(jobs)
    assert [arm.label for arm in arms] == ["map, alpha 1", "map, alpha 2", "uniform"]
    assert arms[2].settings == {"metric": ("uniform",), "alpha": ("1", "2")}
    assert len(arms[2].by_seed) == 1


def test_a_failed_job_is_of_its_arm_and_of_no_seed() -> None:
    (arm,) = arms_of([job(0, None, alpha="1", seed="0"), job(1, "b", alpha="1", seed="1")])
    assert (len(arm.jobs), list(arm.by_seed)) == (2, [("1", "")])


def test_seeds_alone_are_one_arm() -> None:
    (arm,) = arms_of([job(0, "a", seed="0"), job(1, "b", seed="1")])
    assert arm.label == "all jobs"


ARMS = [{"metric": ("map",), "alpha": ("0.5",)}, {"metric": ("uniform",), "alpha": ("0.5", "2.5")}]


@pytest.mark.parametrize(
    ("wanted", "expected"), [(None, 1), ("map", 0), (0.5, 0), (2.5, 1), ("0.50", 0), (["uniform", 0.5], 1)]
)
def test_the_baseline(wanted: Any, expected: int) -> None:
    assert baseline_of(ARMS, wanted) == expected


def test_without_uniform_the_first_arm_is_the_baseline() -> None:
    assert baseline_of([{"alpha": ("1",)}, {"alpha": ("2",)}], None) == 0


def test_a_baseline_that_no_arm_has_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"^baseline=m1: no arm of this sweep has it; give .*: 0.5, 2.5, map, uniform$"
    ):
        baseline_of(ARMS, "m1")
    with pytest.raises(ValueError, match=r"^baseline=0: no arm .* only seeds are swept$"):
        check_baseline(0, [{"seed": "0"}, {"seed": "1"}])


def test_unequal_numbers_are_said_with_both() -> None:
    arm, half, slow = arms_of(
        [
            *(job(n, f"a{n}", 1900, 12, keep__fraction="1", seed=str(n)) for n in range(2)),
            *(job(n + 2, f"b{n}", 950 + n, 6, keep__fraction="0.5", seed=str(n)) for n in range(2)),
            job(4, "c", 1900, 24, keep__fraction="1.0", seed="0"),
        ]
    )
    assert unequal_numbers(arm, arm) is None
    said = "not at equal numbers: 950 to 951 pairs kept here, 1,900 in the baseline; 6 optimizer steps here, 12 in the"
    assert unequal_numbers(half, arm) == f"{said} baseline"
    assert unequal_numbers(slow, arm) == "not at equal numbers: 24 optimizer steps here, 12 in the baseline"
