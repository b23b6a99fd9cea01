"""The only logit of a sequence classifier, for sequences of which some begin alike."""

from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from apm_exp.models.forward.shared_prefix import Ids, Scores, choose_sharing, hidden_states


def classifier_scores(model: Any, pad: int | None, label: str) -> Scores:
    """Return a function of sequences and their owners to the logit of each, [S].

    Sequences of one owner are computed with their common prefix once if the model is a decoder whose head reads the
    hidden state of the last token, which is tried on a few tokens; else each is computed alone, padded. label: for the
    ValueError if the model does not return one number for each sequence.
    """
    plain, shared = partial(_plain, model, pad, label), partial(_shared, model)
    if isinstance(getattr(model, "score", None), nn.Linear) and choose_sharing(model.base_model, shared, plain):
        return shared
    return plain


def _shared(model: Any, sequences: Ids, owners: list[int]) -> Tensor:
    last = [[len(ids) - 1] for ids in sequences]
    logits = model.score(hidden_states(model.base_model, sequences, owners, last)[:, 0])
    return logits[:, 0].float()


def _plain(model: Any, pad: int | None, label: str, sequences: Ids, _owners: list[int]) -> Tensor:
    logits = _logits(model, sequences, pad)
    shape, wanted = tuple(getattr(logits, "shape", ())), (len(sequences), 1)
    if shape != wanted:
        problem = f"the model gives scores of shape {shape} for {len(sequences)} responses instead of {wanted}"
        raise ValueError(f"{label}: {problem}; use a sequence classifier with one label")
    return logits[:, 0].float()


def _logits(model: Any, ids: Ids, pad: int | None) -> Any:
    """Return the model's logits for each sequence, padded on the right; None if its output has none.

    Decoder classifiers use the hidden state of the last token that is not the pad id. This is the wrong token if a
    sequence contains the pad id (pad = end token), so that an id is used that no sequence of the batch contains.
    """
    pad = _free_id(ids, pad)
    for config in (model.config, model.config.get_text_config()):
        config.pad_token_id = pad
    longest = max(len(each) for each in ids)
    padded = torch.tensor([[*each] + [pad] * (longest - len(each)) for each in ids])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in ids])
    output = model(input_ids=padded.to(model.device), attention_mask=mask.to(model.device))
    return getattr(output, "logits", None)


def _free_id(ids: Ids, pad: int | None) -> int:
    """Return the pad id if no sequence contains it, else the first id that none contains."""
    used = set().union(*ids)
    return pad if pad is not None and pad not in used else next(id for id in count() if id not in used)
