"""The plain form: each response after its own copy of the prompt, rows padded on the right, the model's own logits.

Slower and larger than the shared form, and right for every causal model. Its logits of the positions from the
shortest prompt's end on exist at once, in the model's dtype, and those of one response in float32.
"""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from apm_exp.models.forward.row import Prompted, refuse_empty

_PADDING = 0  # any token will do: with causal attention nothing that counts looks to its right


def padded_inputs(prompts: Sequence[Prompted], device: torch.device) -> dict[str, Any]:
    """input_ids [N, T] and the first predicted position of each row, for padded_logps. Refuses as make_row does."""
    refuse_empty(prompts)
    rows = [(list(prompt), list(response)) for prompt, responses in prompts for response in responses]
    input_ids = pad_sequence([torch.tensor(p + r) for p, r in rows], batch_first=True, padding_value=_PADDING)
    return {"input_ids": input_ids.to(device), "spans": [(len(p), len(p) + len(r)) for p, r in rows]}


def padded_logps(logits: Any, input_ids: Tensor, spans: Sequence[tuple[int, int]], **given: Any) -> Tensor:
    """The log-probs of all responses' tokens [R], nats, float32. logits: the model's own forward.

    A model that does not name `logits_to_keep` may swallow it among its other arguments, so it is not given it.
    """
    first = min(start for start, _ in spans) - 1
    names = signature(logits).parameters
    if "logits_to_keep" in names:
        given["logits_to_keep"] = torch.arange(first, input_ids.shape[1] - 1, device=input_ids.device)
    if "use_cache" in names or any(each.kind is Parameter.VAR_KEYWORD for each in names.values()):
        given["use_cache"] = False
    logits_NTV = logits(input_ids=input_ids, **given).logits
    if logits_NTV.shape[1] == input_ids.shape[1]:  # of the whole row, which is always more than was asked for
        logits_NTV = logits_NTV[:, first:-1]
    found = []
    for logits_TV, ids, (start, stop) in zip(logits_NTV, input_ids, spans, strict=True):
        own = logits_TV[start - first - 1 : stop - first - 1].float()
        found.append(-cross_entropy(own, ids[start:stop], reduction="none"))
    return torch.cat(found)
