"""The chance in a mean over prompts and seeds: which prompts were asked, and how each seed's training went."""

from dataclasses import dataclass

from apm_exp.compare.student_t import t_interval, t_test


@dataclass(frozen=True)
class Error:
    """A standard error, and the degrees of freedom that it was found with."""

    error: float
    freedom: float


def both(prompts: Error, seeds: Error) -> Error:
    """The standard error of both sources together; degrees of freedom of Welch and Satterthwaite."""
    over_prompts, over_seeds = prompts.error**2, seeds.error**2
    variance = over_prompts + over_seeds
    if variance == 0:
        return seeds
    freedom = 1 / ((over_prompts / variance) ** 2 / prompts.freedom + (over_seeds / variance) ** 2 / seeds.freedom)
    return Error(variance**0.5, freedom)


def judged(value: float, prompts: Error, seeds: Error, level: float) -> tuple[tuple[float, float], float]:
    """The confidence interval of a mean, and its two-sided p-value against 0.

    They are those of both sources together, but claim no more than those of the seeds alone: the degrees of freedom
    of a sum are themselves a guess that two or three seeds make too high.
    """
    errors = [both(prompts, seeds), seeds]
    wider = max((t_interval(value, one.error, one.freedom, level) for one in errors), key=lambda bounds: bounds[1])
    return wider, max(t_test(value, one.error, one.freedom) for one in errors)
