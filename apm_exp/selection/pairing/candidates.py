"""The choice that several pairing rules share: the best response of a prompt, and those that may be rejected for it."""

from collections.abc import Sequence

from apm_exp.core.types import Refusal


def best_and_worse(responses: Sequence[str], rewards: Sequence[float]) -> tuple[int, list[int]] | Refusal:
    """Return the index of the first response with the highest reward, and those of all with a lower reward and a text.

    Returns a Refusal if there are no such others, or if the best response is empty.
    """
    best = rewards.index(max(rewards))
    if not responses[best].strip():
        return Refusal("empty response", "the best response has no text")
    lower = [index for index, reward in enumerate(rewards) if reward < rewards[best]]
    if not lower:
        return Refusal("tied rewards", f"{len(responses)} responses, all with the reward {rewards[best]}")
    worse = [index for index in lower if responses[index].strip()]
    return (best, worse) if worse else Refusal("empty response", "no response with a lower reward has text")
