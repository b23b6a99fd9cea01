"""The peer TRL: its DPOTrainer on ready tokens, for the reference's log-probs and for the loss of a step."""

import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from torch import Tensor
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from apm_exp.core.types import TokenizedPair
from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer


def trl_trainer(model: Any, beta: float) -> DPOTrainer:
    """A trainer around the model, on the model's own device and in its own dtype, that has not seen any pairs.

    Nothing that would slow it is on: neither gradient checkpointing nor autocast, which TRL has on by default.
    """
    nothing = Dataset.from_list([{"prompt_ids": [0], "chosen_ids": [0], "rejected_ids": [0]}])
    with tempfile.TemporaryDirectory() as folder:  # a trainer wants one, and this one never writes
        settings = DPOConfig(
            output_dir=folder,
            beta=beta,
            loss_type=["sigmoid"],
            precompute_ref_log_probs=True,
            max_length=None,
            gradient_checkpointing=None,  # TRL's default is True
            bf16=False,
            use_cpu=model.device.type == "cpu",
            report_to="none",
        )
        return _OnTokens(model=model, args=settings, train_dataset=nothing, processing_class=word_tokenizer([], 8192))


def trl_reference_logps(trainer: DPOTrainer, pairs: Sequence[TokenizedPair]) -> tuple[Tensor, Tensor]:
    """Summed log-probs of the chosen and of the rejected answers (B each, nats): TRL's own reference pass."""
    with warnings.catch_warnings():  # it asks transformers for checkpointing by its former name
        warnings.simplefilter("ignore", FutureWarning)
        return trainer.compute_ref_log_probs(trainer.model, _batch(trainer, [_row(pair) for pair in pairs]))


def trl_loss(trainer: DPOTrainer, pairs: Sequence[TokenizedPair], reference: Sequence[tuple[float, float]]) -> Tensor:
    """TRL's own DPO loss of a batch (a scalar, differentiable), given the reference's log-probs of each pair."""
    rows = [
        {**_row(pair), "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        for pair, (chosen, rejected) in zip(pairs, reference, strict=True)
    ]
    return trainer.compute_loss(trainer.model, _batch(trainer, rows))


class _OnTokens(DPOTrainer):
    """Without the two passes over the data that a trainer starts with."""

    def _prepare_dataset(self, dataset: Dataset, *arguments: Any, **keywords: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *arguments: Any, **keywords: Any) -> Dataset:
        return dataset


def _row(pair: TokenizedPair) -> dict[str, Any]:
    return {"prompt_ids": pair.prompt_ids, "chosen_ids": pair.chosen_ids, "rejected_ids": pair.rejected_ids}


def _batch(trainer: DPOTrainer, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    made = DataCollatorForPreference(pad_token_id=0)(rows)
    return {name: value.to(trainer.args.device) for name, value in made.items()}
