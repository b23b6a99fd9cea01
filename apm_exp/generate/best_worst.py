"""The best and the worst of several responses, by reward."""

import math
from collections.abc import Sequence

from apm_exp.types import Refusal


def best_and_worst(responses: Sequence[str], rewards: Sequence[float]) -> tuple[int, int] | Refusal:
    """The indices of the first response with the largest and the first with the smallest reward (as SimPO's release).

    A refusal where they make no pair: all responses are the same text, the two rewards are equal or a reward is not
    finite, or one of the two responses is empty.
    """
    if len({response.strip() for response in responses}) == 1:
        return Refusal("identical responses", f"{len(responses)} times {responses[0][:80]!r}")
    if not all(map(math.isfinite, rewards)):
        return Refusal("non-finite reward", ", ".join(map(str, rewards)))
    best, worst = rewards.index(max(rewards)), rewards.index(min(rewards))
    if rewards[best] == rewards[worst]:
        return Refusal("tied rewards", f"{len(responses)} responses, all with the reward {rewards[best]}")
    for name, index in (("best", best), ("worst", worst)):
        if not responses[index].strip():
            return Refusal("empty response", f"the {name} response has no text")
    return best, worst
