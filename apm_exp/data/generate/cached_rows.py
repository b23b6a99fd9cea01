"""Rows that are sampled together with the model's own cache, in which each row has a copy of its prompt."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from apm_exp.data.generate.growing_layer import let_grow


class CachedRows:
    """The rows of a batch: their tokens, and the model inputs that transformers' `generate` prepares besides them.

    cache: None if the model's state is not all in it; then rows stay until all have ended. Rows join together.
    """

    may_join = False

    def __init__(self, model: Any) -> None:
        self.model = model
        self.ids: Tensor
        self.kwargs: dict[str, Any]
        self.cache: Cache | None = None
        self.is_first = True

    @torch.inference_mode()
    def logits(self, token_R: Tensor) -> Tensor:
        """Append a token to each row; return the logits of the next ones, float32."""
        self.ids = torch.cat([self.ids, token_R[:, None]], dim=1)
        return self._forward()

    @torch.inference_mode()
    def change(
        self, kept: Sequence[int], prompts: Sequence[Sequence[int]] = (), of_prompt: Sequence[int] = ()
    ) -> Tensor | None:
        """Keep the rows with these indices, or begin with a row for each entry of of_prompt, the index of its prompt.

        Returns the logits of the new rows' first tokens, float32; None if no row is new. Each prompt is computed once
        if the model's cache allows it.
        """
        if not prompts:
            self._choose(torch.tensor(kept, device=self.model.device))
            return None
        of_prompt_N = torch.tensor(of_prompt, device=self.model.device)
        ids, kwargs = self._prepared(prompts)
        self._begin(ids, deepcopy(kwargs))  # the cache in kwargs must stay empty, for the case below
        if self.cache is not None:
            logits_PV = self._forward()
            if _holds_all(self.cache, self.model):
                self._choose(of_prompt_N)
                return logits_PV[of_prompt_N]
        self._begin(ids, kwargs)
        self._choose(of_prompt_N)
        logits_NV = self._forward()
        self.cache = None
        return logits_NV

    @property
    def may_leave(self) -> bool:
        """Return whether rows may leave before all have ended."""
        return self.cache is not None

    def _prepared(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, dict[str, Any]]:
        """Return the tokens, padded on the left, and the inputs that `generate` passes to its loop."""
        longest, pad = max(map(len, prompts)), self.model.generation_config.pad_token_id
        padded = [[pad] * (longest - len(ids)) + list(ids) for ids in prompts]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
        return self.model.generate(
            input_ids=torch.tensor(padded, device=self.model.device),
            attention_mask=torch.tensor(mask, device=self.model.device),
            custom_generate=_inputs,
        )

    def _begin(self, ids: Tensor, kwargs: dict[str, Any]) -> None:
        self.ids, self.kwargs, self.is_first = ids, kwargs, True
        self.cache = next((each for each in kwargs.values() if isinstance(each, Cache)), None)
        if self.cache is not None:
            let_grow(self.cache)

    def _forward(self) -> Tensor:
        new = {"is_first_iteration": True} if self.is_first else {"next_sequence_length": 1}
        inputs = self.model.prepare_inputs_for_generation(self.ids, **new, **self.kwargs)
        outputs = self.model(**inputs, return_dict=True)
        self.kwargs = self.model._update_model_kwargs_for_generation(outputs, self.kwargs)
        self.is_first = False
        return outputs.logits[:, -1].float()

    def _choose(self, rows: Tensor) -> None:
        """Replace the rows by those with these indices; an index may occur several times."""
        self.ids = self.ids[rows]
        for name, value in self.kwargs.items():
            if isinstance(value, Tensor) and value.ndim > 1:  # the row is the last dimension but one
                self.kwargs[name] = value.index_select(-2, rows)
        if self.cache is not None and not self.is_first:
            self.cache.reorder_cache(rows)  # type: ignore[arg-type]


def _inputs(
    model: Any,
    input_ids: Tensor,
    *,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    **kwargs: Any,
) -> tuple[Tensor, dict[str, Any]]:
    """Return the arguments that `generate` passes to its loop; its processors and criteria are not used."""
    return input_ids, kwargs


def _holds_all(cache: Cache, model: Any) -> bool:
    """Return whether the cache has all of a model's state; RecurrentGemma keeps its states in its own modules."""
    states = (getattr(layer, name, {}) for layer in cache.layers for name in ("conv_states", "recurrent_states"))
    return not getattr(model, "_is_stateful", False) or any(x is not None for each in states for x in each.values())
