"""The pairing rule `delta_ucb`: the two responses that may differ most, if several reward sources disagree."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from statistics import fmean, pstdev

from apm_exp.core.ranges import NotNegative
from apm_exp.core.types import Refusal


def delta_ucb(
    responses: Sequence[str], rewards: Sequence[float], columns: Mapping[str, Sequence[float]], *, width: NotNegative
) -> list[tuple[int, int]] | Refusal:
    """Return the two responses i, j with text for which U_i - L_j is largest; chosen is the one with the higher reward.

    U and L are the mean over the sources of a response's standardized rewards, plus and minus `width` times their
    population standard deviation. columns: these rewards by source. Returns a Refusal if both have the same reward, or
    if fewer than two responses have text.
    """
    of_response = list(zip(*columns.values(), strict=True))
    center, spread = [fmean(each) for each in of_response], [width * pstdev(each) for each in of_response]
    written = [index for index, text in enumerate(responses) if text.strip()]
    if len(written) < 2:
        return Refusal("empty response", "fewer than two responses have text")
    upper, lower = max(
        permutations(written, 2), key=lambda pair: center[pair[0]] + spread[pair[0]] - center[pair[1]] + spread[pair[1]]
    )
    if rewards[upper] == rewards[lower]:
        return Refusal("tied rewards", f"the two that may differ most both have the reward {rewards[upper]}")
    return [(upper, lower) if rewards[upper] > rewards[lower] else (lower, upper)]
