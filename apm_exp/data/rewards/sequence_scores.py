"""Score token sequences with a classifier: longest first, in smaller batches if memory runs out."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import torch

from apm_exp.models.halving import run_halving

Ids = Sequence[Sequence[int]]  # the tokens of each sequence
Indexed = tuple[int, Sequence[int]]


def form_batches(ids: Ids, names: Sequence[str], known: Collection[str], batch_size: int) -> list[list[int]]:
    """Return the indices of the sequences of each forward, longest first, without those whose name is in `known`.

    Known sequences are removed after the batches are formed, so that a resumed attempt has the same batches.
    """
    longest_first = sorted(range(len(ids)), key=lambda index: (-len(ids[index]), names[index]))
    batches = [longest_first[start : start + batch_size] for start in range(0, len(ids), batch_size)]
    rest = ([index for index in batch if names[index] not in known] for batch in batches)
    return [batch for batch in rest if batch]


def score_batches(
    model: Any, ids: Ids, batches: Sequence[list[int]], pad: int | None, label: str
) -> Iterator[list[tuple[int, float]]]:
    """Yield, for each batch, the (index, score) of its sequences, from one forward.

    If memory runs out, reward.batch_size is halved, with a warning. label: `reward.path=...`, for messages. Raises
    ValueError if one sequence alone does not fit into memory, or if the model does not return one number for each.
    """
    size = max(map(len, batches), default=1)
    named = ([(index, ids[index]) for index in batch] for batch in batches)
    score = partial(_scores, model, pad, label)
    for batch, scores in run_halving(score, named, lambda _: 1, size, "reward.batch_size", _too_large):
        yield [(index, reward) for (index, _), reward in zip(batch, scores, strict=True)]


def _too_large(indexed: Indexed) -> str:
    return (
        f"reward.max_length: out of memory for one response alone ({len(indexed[1])} tokens with its prompt), so a "
        "smaller reward.batch_size does not help; use a smaller reward.max_length or a larger device"
    )


def _scores(model: Any, pad: int | None, label: str, batch: Sequence[Indexed]) -> list[float]:
    """Return the only logit of each sequence."""
    ids = [each for _, each in batch]
    logits = _logits(model, ids, pad)
    shape, wanted = tuple(getattr(logits, "shape", ())), (len(ids), 1)
    if shape != wanted:
        problem = f"the model gives scores of shape {shape} for {len(ids)} responses instead of {wanted}"
        raise ValueError(f"{label}: {problem}; use a sequence classifier with one label")
    return logits[:, 0].float().tolist()


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
    with torch.inference_mode():
        output = model(input_ids=padded.to(model.device), attention_mask=mask.to(model.device))
    return getattr(output, "logits", None)


def _free_id(ids: Ids, pad: int | None) -> int:
    """Return the pad id if no sequence contains it, else the first id that none contains."""
    used = set().union(*ids)
    return pad if pad is not None and pad not in used else next(id for id in count() if id not in used)
