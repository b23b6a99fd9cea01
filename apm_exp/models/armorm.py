"""ArmoRM: a Llama with 19 rewards, mixed by weights that a gate reads off the prompt. No remote code.

The tensors have the names of the released checkpoint (RLHFlow/ArmoRM-Llama3-8B-v0.1), so that it loads as it is.
Shape letters: S sequences, H hidden size, O objectives.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaModel, LlamaPreTrainedModel

from apm_exp.models.forward.shared_prefix import Ids, Scores, choose_sharing, hidden_states

_OBJECTIVES, _TEMPERATURE, _GATE_WIDTH, _GATE_LAYERS = 19, 10, 1024, 3  # unless the configuration has others


class Gating(nn.Module):
    """The weights of the objectives, from the hidden state of the prompt's last token."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, layers = (
            getattr(config, "gating_hidden_dim", _GATE_WIDTH),
            getattr(config, "gating_n_hidden", _GATE_LAYERS),
        )
        self.temperature = getattr(config, "gating_temperature", _TEMPERATURE)
        sizes = [config.hidden_size, *[width] * layers, objectives(config)]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.logit_scale = nn.Parameter(torch.ones(1))

    def forward(self, hidden_SH: Tensor) -> Tensor:
        """Return the weights, [S, O]."""
        *hidden, last = self.layers
        for layer in hidden:
            hidden_SH = torch.relu(layer(hidden_SH))
        return torch.softmax(last(hidden_SH) / self.temperature, -1) * self.logit_scale


class ArmoRM(LlamaPreTrainedModel):
    """The backbone and its head, whose parameters stay in float32 (keep_head_exact)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        count = objectives(config)
        self.model = LlamaModel(config)
        self.regression_layer = nn.Linear(config.hidden_size, count, bias=False)
        self.reward_transform_matrix = nn.Parameter(torch.eye(count))
        self.gating = Gating(config)
        self.post_init()

    def score(self, hidden_S2H: Tensor) -> Tensor:
        """Return the score of each sequence, [S], from the hidden states at its gate and at its last token."""
        gate_SH, last_SH = hidden_S2H.float().unbind(1)
        rewards_SO = self.regression_layer(last_SH) @ self.reward_transform_matrix
        return (self.gating(gate_SH) * rewards_SO).sum(-1)


def objectives(config: Any) -> int:
    """Return the number of rewards."""
    return int(getattr(config, "num_objectives", _OBJECTIVES))


def keep_head_exact(model: ArmoRM) -> ArmoRM:
    """Convert the head to float32, which costs nothing beside the backbone."""
    model.regression_layer.float()
    model.gating.float()
    model.reward_transform_matrix.data = model.reward_transform_matrix.data.float()
    return model


def armorm_scores(model: ArmoRM, gate: Sequence[int]) -> Scores:
    """Return a function of sequences and their owners to the score of each, [S]; a prompt is computed once.

    gate: the tokens of the header of a response, after the end of the turn before it; each sequence contains them, and
    the gate reads the hidden state of the first one.
    """
    shared, plain = partial(_shared, model, gate), partial(plain_scores, model, gate)
    return shared if choose_sharing(model.model, shared, plain, first=gate) else plain


def gate_place(ids: Sequence[int], gate: Sequence[int]) -> int | None:
    """Return where the last occurrence of `gate` begins in a sequence; None if it does not occur."""
    wanted, width = list(gate), len(gate)
    return next(
        (place for place in range(len(ids) - width, -1, -1) if list(ids[place : place + width]) == wanted), None
    )


def _shared(model: ArmoRM, gate: Sequence[int], sequences: Ids, owners: Sequence[int]) -> Tensor:
    return model.score(hidden_states(model.model, sequences, owners, _places(sequences, gate)))


def plain_scores(model: ArmoRM, gate: Sequence[int], sequences: Ids, _owners: Sequence[int]) -> Tensor:
    """Return the score of each sequence, [S], computed with its own prompt."""
    padded = pad_sequence([torch.tensor(ids) for ids in sequences], batch_first=True).to(model.device)
    hidden_STH = model.model(input_ids=padded, use_cache=False).last_hidden_state  # causal: padding changes nothing
    places_S2 = torch.tensor(_places(sequences, gate), device=model.device)
    return model.score(hidden_STH[torch.arange(len(sequences), device=model.device)[:, None], places_S2])


def _places(sequences: Ids, gate: Sequence[int]) -> list[list[int]]:
    """Return the places of the gate and of the last token of each sequence."""
    places = [[gate_place(ids, gate), len(ids) - 1] for ids in sequences]
    if any(None in place for place in places):
        raise ValueError("a conversation without the tokens that ArmoRM's gate reads")
    return places  # type: ignore[return-value]
