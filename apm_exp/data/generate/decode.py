"""Decode responses: each prompt is computed once for all its responses, and finished responses leave the batch."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache

from apm_exp.data.generate.draw import logp_of
from apm_exp.data.generate.growing_layer import let_grow

_ENDED = 1 / 8  # share of finished rows at which they are removed, since removing rows copies the cache
Draw = Callable[[Tensor, Tensor], Tensor]  # (logits, uniform numbers) -> a token for each row
Ended = tuple[int, list[int], float]  # index in the batch, tokens, log-prob (nats, temperature 1)


class Rows:
    """The rows of a batch: their tokens, and the model's cache of them.

    kwargs: the model inputs that transformers' generate has prepared besides the tokens: mask, positions and cache.
    cache: if None, rows cannot be chosen after the first forward.
    """

    def __init__(self, model: Any, ids: Tensor, kwargs: dict[str, Any]) -> None:
        self.model, self.ids, self.kwargs = model, ids, kwargs
        self.cache = next((each for each in kwargs.values() if isinstance(each, Cache)), None)
        self.is_first = True
        if self.cache is not None:
            let_grow(self.cache)

    def logits(self) -> Tensor:
        """Return each row's logits for its next token, float32."""
        new = {"is_first_iteration": True} if self.is_first else {"next_sequence_length": 1}
        inputs = self.model.prepare_inputs_for_generation(self.ids, **new, **self.kwargs)
        outputs = self.model(**inputs, return_dict=True)
        self.kwargs = self.model._update_model_kwargs_for_generation(outputs, self.kwargs)
        self.is_first = False
        return outputs.logits[:, -1].float()

    def append(self, token_R: Tensor) -> None:
        """Append a token to each row."""
        self.ids = torch.cat([self.ids, token_R[:, None]], dim=1)

    def choose(self, rows: Tensor) -> None:
        """Replace the rows by those with these indices; an index may occur several times."""
        self.ids = self.ids[rows]
        for name, value in self.kwargs.items():
            if isinstance(value, Tensor) and value.ndim > 1:  # the row is the last dimension but one
                self.kwargs[name] = value.index_select(-2, rows)
        if self.cache is not None and not self.is_first:
            self.cache.reorder_cache(rows)  # type: ignore[arg-type]


def decode_prompts(
    model: Any, prompts: Sequence[Sequence[int]], of_prompt: Sequence[int], draw: Draw, uniform_TN: np.ndarray
) -> Iterator[Ended]:
    """Yield each response as soon as it ends, with an end token of model.generation_config or after T tokens.

    prompts: the tokens of each prompt, which are padded on the left here. of_prompt: the index of the prompt of each
    response. uniform_TN: a uniform number for each of the at most T tokens of each of the N responses.
    """
    longest, pad = max(map(len, prompts)), model.generation_config.pad_token_id
    padded = [[pad] * (longest - len(ids)) + list(ids) for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    return model.generate(
        input_ids=torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        custom_generate=partial(_decode, of_prompt=of_prompt, draw=draw, uniform_TN=uniform_TN),
    )


@torch.inference_mode()
def _decode(
    model: Any,
    input_ids: Tensor,
    *,
    of_prompt: Sequence[int],
    draw: Draw,
    uniform_TN: np.ndarray,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    **kwargs: Any,
) -> Iterator[Ended]:
    """Run the loop of transformers' `generate`, which prepares the kwargs; its processors and criteria are not used."""
    numbers_TN, ends = (
        torch.as_tensor(each, device=input_ids.device) for each in (uniform_TN, generation_config.eos_token_id)
    )
    rows, logits_RV = _begin(model, input_ids, kwargs, torch.tensor(of_prompt, device=input_ids.device))
    place_R = torch.arange(len(of_prompt), device=input_ids.device)
    logp_R, open_R = torch.zeros_like(place_R, dtype=torch.float64), torch.ones_like(place_R, dtype=torch.bool)
    for left, uniform_N in zip(range(len(numbers_TN) - 1, -1, -1), numbers_TN, strict=True):
        token_R = draw(logits_RV, uniform_N[place_R])
        logp_R += logp_of(logits_RV, token_R)
        rows.append(token_R)
        ended_R = open_R & (torch.isin(token_R, ends) if left else True)
        for row in ended_R.nonzero()[:, 0].tolist():
            yield int(place_R[row]), rows.ids[row, input_ids.shape[1] :].tolist(), float(logp_R[row])
        open_R = open_R & ~ended_R
        kept = open_R.nonzero()[:, 0]
        if not len(kept):
            return
        if rows.cache is not None and len(open_R) - len(kept) >= _ENDED * len(open_R):
            rows.choose(kept)
            place_R, logp_R, open_R = place_R[kept], logp_R[kept], open_R[kept]
        logits_RV = rows.logits()


def _begin(model: Any, ids: Tensor, kwargs: dict[str, Any], of_prompt_N: Tensor) -> tuple[Rows, Tensor]:
    """Return one row per response, and the logits of their first tokens.

    Each prompt is computed once if the model's cache allows it.
    """
    rows = Rows(model, ids, deepcopy(kwargs))  # the cache in kwargs must stay empty, for the case below
    if rows.cache is not None:
        logits_PV = rows.logits()
        if _holds_all(rows.cache, model):
            rows.choose(of_prompt_N)
            return rows, logits_PV[of_prompt_N]
    rows = Rows(model, ids, kwargs)
    rows.choose(of_prompt_N)
    logits_NV = rows.logits()
    rows.cache = None
    return rows, logits_NV


def _holds_all(cache: Cache, model: Any) -> bool:
    """Return whether the cache has all of a model's state; RecurrentGemma keeps its states in its own modules."""
    states = (getattr(layer, name, {}) for layer in cache.layers for name in ("conv_states", "recurrent_states"))
    return not getattr(model, "_is_stateful", False) or any(x is not None for each in states for x in each.values())
