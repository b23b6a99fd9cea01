"""Draw tokens with random numbers that belong to each response, independent of the other responses in its batch.

A token is drawn with one uniform number by inverting the cumulative distribution in the order of the vocabulary. If the
probabilities are rounded differently, as in a batch of another shape, the probability of drawing another token is
therefore at most the sum of their changes: about 1e-6 per token in float32.
"""

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apm_exp.core.digest import canonical

_KEY_BYTES = 16  # of Philox's key


def uniform_numbers(seed: int, prompt: Any, number: int, count: int) -> np.ndarray:
    """Return `count` uniform numbers in [0, 1) for response `number` to a prompt, which is identified by its content.

    A larger count only appends numbers.
    """
    digest = hashlib.sha256(f"{seed} {number} {canonical(prompt)}".encode()).digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:_KEY_BYTES])).random_raw(count)
    return (bits >> np.uint64(11)) * 2.0**-53


def draw(logits_NV: Tensor, uniform_N: Tensor, temperature: float, top_p: float) -> Tensor:
    """Return a token for each row, drawn at this temperature from the most likely tokens with total probability top_p.

    Tokens that are as likely as the least likely of these are included. Raises ValueError for logits that are not
    finite.
    """
    probability_NV = (logits_NV / temperature).softmax(dim=-1)
    if top_p < 1:
        probability_NV = probability_NV.where(probability_NV >= _least_kept(probability_NV, top_p), 0.0)
    sum_NV = probability_NV.cumsum(dim=-1, dtype=torch.float64)
    if not (sum_NV[:, -1] > 0).all():
        raise ValueError("model.dtype: the policy's logits are not finite; try model.dtype=float32, or other weights")
    share_N1 = uniform_N[:, None] * sum_NV[:, -1:]  # below the sum, as uniform numbers are at most 1 - 2**-53
    return torch.searchsorted(sum_NV, share_N1, right=True)[:, 0]


def logp_of(logits_NV: Tensor, token_N: Tensor) -> Tensor:
    """Return the log-prob of each row's token at temperature 1, in nats."""
    return logits_NV.gather(1, token_N[:, None])[:, 0] - logits_NV.logsumexp(dim=1)


def _least_kept(probability_NV: Tensor, top_p: float) -> Tensor:
    """Return the smallest probability among the most likely tokens with total probability top_p, [N, 1]."""
    ascending_NV = _ascending(probability_NV)
    sum_NV = ascending_NV.cumsum(dim=-1, dtype=torch.float64)
    above_NV = sum_NV[:, -1:] - sum_NV  # total probability of the more likely tokens
    first_N1 = (above_NV >= top_p).sum(dim=-1, keepdim=True)
    return ascending_NV.gather(1, first_N1.clamp(max=ascending_NV.shape[1] - 1))


def _ascending(values_NV: Tensor) -> Tensor:
    """Return each row's values in ascending order; with NumPy on a CPU, where torch.sort is 30 times slower."""
    if values_NV.device.type == "cpu":
        return torch.from_numpy(np.sort(values_NV.numpy(), axis=-1))
    return values_NV.sort(dim=-1).values
