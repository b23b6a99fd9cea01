"""The log-probs of sampled tokens, noted while they are sampled."""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class SampledLogps(LogitsProcessor):
    """Passes logits on as they are; notes the log-prob of each token that is drawn, at temperature 1 and before top-p.

    transformers applies temperature and top-p after the processors that it is given. One step's logits are kept.
    """

    def __init__(self) -> None:
        self.logits_NV: torch.Tensor | None = None
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Note the tokens drawn from the last step's logits, and keep this step's."""
        self._note(input_ids[:, -1])
        self.logits_NV = scores
        return scores

    def of(self, last_N: torch.Tensor, lengths: Sequence[int]) -> list[float]:
        """The log-prob of each response's first `length` tokens, in nats. last_N: the tokens of the last step."""
        self._note(last_N)
        logps_NT = torch.stack(self.steps, dim=1).double()
        return [row_T[:length].sum().item() for row_T, length in zip(logps_NT.cpu(), lengths, strict=True)]

    def _note(self, token_N: torch.Tensor) -> None:
        if self.logits_NV is not None:
            drawn_N = self.logits_NV.gather(1, token_N[:, None])[:, 0]
            self.steps.append(drawn_N - self.logits_NV.logsumexp(dim=1))
