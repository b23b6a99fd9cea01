"""The padded form of the pair forward: a copy of the prompt for each response, right padding, the model's own logits.

It is slower and needs more memory than the shared form, and is correct for every causal model. The logits after the
shortest prompt exist at once, in the model's dtype, and those of one response in float32.
"""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from apm_exp.models.forward.row import Prompted, refuse_empty

_PADDING = 0  # any token, as with causal attention no scored token attends to its right


def padded_inputs(prompts: Sequence[Prompted], device: torch.device) -> dict[str, Any]:
    """Return input_ids [N, T] and the response's span in each row, for padded_logps. Raises as make_row does."""
    refuse_empty(prompts)
    rows = [(list(prompt), list(response)) for prompt, responses in prompts for response in responses]
    input_ids = pad_sequence([torch.tensor(p + r) for p, r in rows], batch_first=True, padding_value=_PADDING)
    return {"input_ids": input_ids.to(device), "spans": [(len(p), len(p) + len(r)) for p, r in rows]}


def padded_logps(logits: Any, input_ids: Tensor, spans: Sequence[tuple[int, int]], **given: Any) -> Tensor:
    """Return the log-probs of all responses' tokens [R], nats, float32. logits: the model's own forward.

    `logits_to_keep` is passed only if the model's signature names it, as others might ignore it silently.
    """
    first = min(start for start, _ in spans) - 1
    names = signature(logits).parameters
    if "logits_to_keep" in names:
        given["logits_to_keep"] = torch.arange(first, input_ids.shape[1] - 1, device=input_ids.device)
    if "use_cache" in names or any(each.kind is Parameter.VAR_KEYWORD for each in names.values()):
        given["use_cache"] = False
    logits_NTV = logits(input_ids=input_ids, **given).logits
    # the model has returned the logits of the whole row, which is longer than the requested part
    if logits_NTV.shape[1] == input_ids.shape[1]:
        logits_NTV = logits_NTV[:, first:-1]
    logps = []
    for logits_TV, ids, (start, stop) in zip(logits_NTV, input_ids, spans, strict=True):
        own = logits_TV[start - first - 1 : stop - first - 1].float()
        logps.append(-cross_entropy(own, ids[start:stop], reduction="none"))
    return torch.cat(logps)
