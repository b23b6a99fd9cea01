"""The pairing rule `max_min`: the best response of a prompt and its worst."""

from collections.abc import Sequence

from apm_exp.core.types import Refusal


def max_min(responses: Sequence[str], rewards: Sequence[float]) -> list[tuple[int, int]] | Refusal:
    """Return the index of the first response with the highest reward and of the first with the lowest.

    This is the rule of SimPO's release. Returns a Refusal if both rewards are equal or if one of the responses is
    empty.
    """
    best, worst = rewards.index(max(rewards)), rewards.index(min(rewards))
    if rewards[best] == rewards[worst]:
        return Refusal("tied rewards", f"{len(responses)} responses, all with the reward {rewards[best]}")
    for name, index in (("best", best), ("worst", worst)):
        if not responses[index].strip():
            return Refusal("empty response", f"the {name} response has no text")
    return [(best, worst)]
