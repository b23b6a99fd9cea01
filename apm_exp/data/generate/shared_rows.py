"""Rows that are sampled together with one copy of each prompt's keys and values; rows may join at any time."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from apm_exp.data.generate.places import Places
from apm_exp.data.generate.shared_keys import KeysValues, PromptsPass, SharedKeys
from apm_exp.models.context import context_length
from apm_exp.models.halving import fill

PROMPT_TOKENS = 4096  # of prompts in one forward
_UNUSED = 1 / 4  # share of prompts without rows at which they are removed, since that copies the others
Prompt = Sequence[int]


class SharedRows:
    """The rows of a batch, of a model that has the attention SHARED_KEYS (see choose_rows).

    last: the last position that the model has.
    """

    may_join = may_leave = True

    def __init__(self, model: Any) -> None:
        self.model = model
        self.last = (context_length(model) or 2**31) - 1
        self.keys = SharedKeys(Places([], [], [], model.device))

    @torch.inference_mode()
    def logits(self, token_R: Tensor) -> Tensor:
        """Append a token to each row; return the logits of the next ones, float32."""
        if self.keys.places.column == self.keys.room:
            self.change(range(len(token_R)))
        places = self.keys.places
        position_R = places.position_R().clamp(max=self.last)  # of rows that have ended and are still there
        outputs = self.model(
            input_ids=token_R[:, None], position_ids=position_R[:, None], row=self.keys, use_cache=False
        )
        places.next_column()
        return outputs.logits[:, -1].float()

    @torch.inference_mode()
    def change(
        self, kept: Sequence[int], prompts: Sequence[Prompt] = (), of_prompt: Sequence[int] = ()
    ) -> Tensor | None:
        """Keep the rows with these indices, and append a row for each entry of of_prompt, the index of a new prompt.

        Returns the logits of the new rows' first tokens, float32; None if no row is new.
        """
        passes = [self._pass(batch) for batch in fill(prompts, len, PROMPT_TOKENS)]
        old = self.keys.places
        used = sorted({old.of_prompt[row] for row in kept})
        if not prompts and len(used) > (1 - _UNUSED) * len(old.lengths):
            used = list(range(len(old.lengths)))
        new_index = {prompt: index for index, prompt in enumerate(used)}
        first = min((old.start[row] for row in kept), default=old.column)
        places = Places(
            [*(old.lengths[prompt] for prompt in used), *map(len, prompts)],
            [*(new_index[old.of_prompt[row]] for row in kept), *(len(used) + prompt for prompt in of_prompt)],
            [*(old.start[row] - first for row in kept), *[old.column - first] * len(of_prompt)],
            old.device,
            old.column - first,
        )
        self.keys.change(places, used, list(kept), [keys for keys, _ in passes])
        return torch.cat([logits for _, logits in passes])[list(of_prompt)] if passes else None

    def _pass(self, prompts: Sequence[Prompt]) -> tuple[dict[int, KeysValues], Tensor]:
        """Return the keys and values of prompts by layer, and the logits after each, float32."""
        ids = pad_sequence([torch.tensor(ids, dtype=torch.long) for ids in prompts], batch_first=True).to(
            self.model.device
        )
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=ids.device)
        at_P = torch.arange(len(prompts), device=ids.device)
        row, positions = PromptsPass(), torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        head = self.model.get_output_embeddings()
        hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][at_P, last][:, None], *inputs[1:]))
        try:
            logits = self.model(input_ids=ids, position_ids=positions, row=row, use_cache=False).logits
        finally:
            hook.remove()
        return row.collected, logits[:, -1].float()
