"""TRL's own trainers on our tokens, for comparison: DPOTrainer for loss=dpo, CPOTrainer for loss=simpo.

Both normally tokenize messages and score the reference themselves; here they get the tokens and the reference log-probs
of the logps artifact.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from torch import Tensor
from transformers import TrainingArguments
from trl import DPOConfig, DPOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from apm_exp.models.load import load_tokenizer
from apm_exp.training.callbacks.consumption import Consumption
from apm_exp.training.callbacks.guards import check_loss
from apm_exp.training.pair_dataset import TrainingPair
from apm_exp.training.preflight import check_trl_loss
from apm_exp.training.task import TrainingTask

_LONGEST = 2**30  # in tokens; the sequences are truncated already, and TRL must not truncate them again


def trl_trainer(
    task: TrainingTask,
    arguments: Callable[..., TrainingArguments],
    make_model: Callable[[], Any],
    pairs: Sequence[TrainingPair],
    consumption: Consumption,
) -> Any:
    """Return TRL's trainer for the task's loss. arguments: builds the arguments, given their class and further fields.

    Raises ValueError if TRL has no equivalent of the loss.
    """
    disable_progress_bars()
    kind, made = {"DPOTrainer": _dpo, "CPOTrainer": _simpo}[check_trl_loss(task.loss)](task.loss, arguments)
    tokenizer = load_tokenizer(task.policy)
    return kind(
        consumption=consumption,
        model=make_model(),
        args=made,
        train_dataset=Dataset.from_list([kind.row(pair) for pair in pairs]),
        data_collator=kind.collator(tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


def _dpo(loss: Mapping[str, Any], arguments: Callable[..., TrainingArguments]) -> tuple[Any, TrainingArguments]:
    """Return the DPO trainer and its arguments.

    gradient_checkpointing is None here and below because the model already has it enabled if it is wanted.
    """
    more = {"loss_type": ["sigmoid"], "precompute_ref_log_probs": True, "max_length": None}
    return _Dpo, arguments(kind=DPOConfig, beta=loss["beta"], gradient_checkpointing=None, **more)


def _simpo(loss: Mapping[str, Any], arguments: Callable[..., TrainingArguments]) -> tuple[Any, TrainingArguments]:
    gamma = loss["gamma_beta_ratio"] * loss["beta"]
    more = {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": gamma, "max_length": _LONGEST}
    return _Cpo, arguments(kind=CPOConfig, beta=loss["beta"], gradient_checkpointing=None, **more)


class _Recorded:
    """A mixin for both trainers that counts the pairs of each forward and checks their loss."""

    def __init__(self, *, consumption: Consumption, **settings: Any) -> None:
        self.consumption = consumption
        super().__init__(**settings)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        index = inputs.pop("pair_index").tolist()
        self.consumption.take(index)
        ids = self.consumption.enter(index)
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[misc]
        check_loss(loss.expand(len(ids)), self.state.global_step + 1, ids)  # type: ignore[attr-defined]
        return loss

    def create_model_card(self, *arguments: Any, **keywords: Any) -> None:
        """Do nothing: the run has a report instead."""


class _Dpo(_Recorded, DPOTrainer):
    @staticmethod
    def row(pair: TrainingPair) -> dict[str, Any]:
        return {
            "pair_index": pair.index,
            "prompt_ids": pair.tokens.prompt_ids,
            "chosen_ids": pair.tokens.chosen_ids,
            "rejected_ids": pair.tokens.rejected_ids,
            "ref_chosen_logps": pair.reference_chosen_logp,
            "ref_rejected_logps": pair.reference_rejected_logp,
        }

    @staticmethod
    def collator(pad_token_id: int) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        return _with_index(DataCollatorForPreference(pad_token_id=pad_token_id))

    def _prepare_dataset(self, dataset: Dataset, *arguments: Any, **keywords: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *arguments: Any, **keywords: Any) -> Dataset:
        return dataset


class _Cpo(_Recorded, CPOTrainer):
    @staticmethod
    def row(pair: TrainingPair) -> dict[str, Any]:
        prompt = pair.tokens.prompt_ids
        row: dict[str, Any] = {"pair_index": pair.index, "prompt_input_ids": prompt}
        for side, response in (("chosen", pair.tokens.chosen_ids), ("rejected", pair.tokens.rejected_ids)):
            row[f"{side}_input_ids"] = prompt + response
            row[f"{side}_attention_mask"] = [1] * len(prompt + response)
            row[f"{side}_labels"] = [-100] * len(prompt) + response
        return row

    @staticmethod
    def collator(pad_token_id: int) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
        from trl.experimental.utils import DPODataCollatorWithPadding

        return _with_index(DPODataCollatorWithPadding(pad_token_id=pad_token_id))

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        return feature


def _with_index(collator: Callable[[Any], dict[str, Any]]) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        index = torch.tensor([row["pair_index"] for row in rows])
        rest = [{name: value for name, value in row.items() if name != "pair_index"} for row in rows]
        return {**collator(rest), "pair_index": index}

    return collate
