"""The pairing rule `sweet_spot`: the best response, and the one nearest to some deviations below the mean reward."""

from collections.abc import Sequence
from statistics import fmean, pstdev

from apm_exp.core.ranges import NotNegative
from apm_exp.core.types import Refusal
from apm_exp.selection.pairing.candidates import best_and_worse


def sweet_spot(
    responses: Sequence[str], rewards: Sequence[float], *, deviations: NotNegative
) -> list[tuple[int, int]] | Refusal:
    """Return the index of the first response with the highest reward, and of the one with a lower reward that is
    nearest to mean - deviations x standard deviation of the prompt's rewards, the first of equals.

    The standard deviation is that of the population. Returns a Refusal as best_and_worse.
    """
    known = best_and_worse(responses, rewards)
    if isinstance(known, Refusal):
        return known
    best, worse = known
    spot = fmean(rewards) - deviations * pstdev(rewards)
    return [(best, min(worse, key=lambda index: abs(rewards[index] - spot)))]
