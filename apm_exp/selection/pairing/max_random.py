"""The pairing rule `max_random`: the best response of a prompt and a random one of the others."""

import json
import random
from collections.abc import Sequence

from apm_exp.core.types import Refusal
from apm_exp.selection.pairing.candidates import best_and_worse


def max_random(responses: Sequence[str], rewards: Sequence[float], *, seed: int) -> list[tuple[int, int]] | Refusal:
    """Return the index of the first response with the highest reward, and of a random one with a lower reward.

    The choice depends on the seed and on the prompt's responses, and not on other prompts. Responses without text are
    never rejected ones. Returns a Refusal as best_and_worse.
    """
    known = best_and_worse(responses, rewards)
    if isinstance(known, Refusal):
        return known
    best, worse = known
    return [(best, random.Random(json.dumps([seed, *responses])).choice(worse))]
