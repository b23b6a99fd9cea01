"""PairRM: a DeBERTa that compares two candidates for one source. No remote code.

The tensors have the names of the released checkpoint (llm-blender/PairRM-hf), so that it loads as it is.
Shape letters: S sequences, T tokens, H hidden size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import DebertaV2Config, DebertaV2Model, DebertaV2PreTrainedModel


class PairRM(DebertaV2PreTrainedModel):
    """The encoder and its head, whose parameters stay in float32 (keep_head_exact)."""

    base_model_prefix = "pretrained_model"
    _keys_to_ignore_on_load_unexpected = [r"position_ids"]  # noqa: RUF012  # a buffer of older versions

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__(config)
        hidden, tasks = config.hidden_size, getattr(config, "n_tasks", 1)
        self.pretrained_model = DebertaV2Model(config)
        dropout = nn.Dropout(getattr(config, "drop_out", 0.0))
        self.head_layer = nn.Sequential(
            dropout, nn.Linear(2 * hidden, hidden), nn.Tanh(), dropout, nn.Linear(hidden, tasks)
        )
        self.post_init()

    def compare(self, source_SH: Tensor, first_SH: Tensor, second_SH: Tensor) -> Tensor:
        """Return by how much the first candidate is better than the second one, [S], from their hidden states."""
        first, second = (
            self.head_layer(torch.cat([source_SH, each], -1).float()).mean(-1) for each in (first_SH, second_SH)
        )
        return first - second


def keep_head_exact(model: PairRM) -> PairRM:
    """Convert the head to float32, which costs nothing beside the encoder."""
    model.head_layer.float()
    return model


def marks_of(config: Any) -> list[int]:
    """Return the tokens that begin the source, the first candidate and the second one, as the configuration says."""
    return [int(getattr(config, f"{name}_prefix_id")) for name in ("source", "cand1", "cand2")]


def compare_pairs(model: PairRM, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return the logit of each sequence (source, first and second candidate), [S]; above 0: the first is better."""
    padded_ST = pad_sequence([torch.tensor(ids) for ids in sequences], batch_first=True)
    length_S = torch.tensor([len(ids) for ids in sequences])
    mask_ST = (torch.arange(padded_ST.shape[1]) < length_S[:, None]).long()
    output = model.pretrained_model(input_ids=padded_ST.to(model.device), attention_mask=mask_ST.to(model.device))
    row_S = torch.arange(len(sequences), device=model.device)
    places = [[list(ids).index(mark) for ids in sequences] for mark in marks_of(model.config)]
    return model.compare(*(output.last_hidden_state[row_S, torch.tensor(each, device=model.device)] for each in places))
