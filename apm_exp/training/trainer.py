"""The Hugging Face Trainer with a loss over pairs in the place of a loss over labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from apm_exp.pair_forward import accept_responses, pair_forward
from apm_exp.training.consumption import Consumption
from apm_exp.training.guards import check_first_step, check_loss
from apm_exp.training.implicit_reward import Loss, implicit_rewards
from apm_exp.types import PairLogps

_NOISE = 1e-5  # margins of this size are rounding, as all are before the first step; they count as ties


@dataclass(frozen=True, eq=False)
class Objective:
    """What is minimised. beta and with_reference: how its reward is shown. dtype: of the scored policy."""

    loss: Loss
    beta: float
    with_reference: bool
    dtype: str


class PairTrainer(Trainer):
    """Minimises the mean loss over the pairs of a global batch, each pair weighing the same in every batch."""

    objective: Objective

    def __init__(self, *, objective: Objective, consumption: Consumption, model: nn.Module, **settings: Any) -> None:
        accept_responses(model)
        super().__init__(model=model, **settings)
        self.model_accepts_loss_kwargs = True  # our loss is divided by the whole global batch; do not divide again
        self.objective, self.consumption = objective, consumption
        self.sums: dict[str, Tensor] = {}

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Any]:
        """The forwards of one optimizer step, and the number of pairs in them over all processes."""
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        pairs = torch.tensor(sum(len(sample["pairs"]) for sample in samples), device=device)
        return samples, self.accelerator.reduce(pairs, "sum")

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """The share of one forward's pairs in the mean loss of the global batch.

        Gradients are averaged over processes, hence the factor.
        """
        ids = self.consumption.take(inputs["pair_index"].tolist())
        pairs = self._logps(model, inputs)
        if self.state.global_step == 0:
            check_first_step(pairs, self.objective.dtype, ids)
        loss_B = self.objective.loss(pairs)
        check_loss(loss_B, self.state.global_step + 1, ids)
        self._add(pairs)
        return loss_B.sum() * self.accelerator.num_processes / num_items_in_batch

    def _logps(self, model: nn.Module, inputs: dict[str, Any]) -> PairLogps:
        with self.accelerator.autocast():
            logps = pair_forward(model, inputs["pairs"])
        return PairLogps(
            chosen_logp_B=logps.chosen_logp_B,
            rejected_logp_B=logps.rejected_logp_B,
            reference_chosen_logp_B=inputs["reference_chosen_logp_B"],
            reference_rejected_logp_B=inputs["reference_rejected_logp_B"],
            chosen_len_B=logps.chosen_len_B,
            rejected_len_B=logps.rejected_len_B,
        )

    def _add(self, pairs: PairLogps) -> None:
        """Add a forward to the sums that the next logged row is the mean of."""
        sums = shown(pairs, self.objective)
        self.sums = {name: self.sums.get(name, 0.0) + value_B.detach().sum() for name, value_B in sums.items()}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means over the pairs since the last logged step."""
        if "loss" in logs and self.sums:
            totals = self.accelerator.reduce(torch.stack(list(self.sums.values())), "sum").tolist()
            sums = dict(zip(self.sums, totals, strict=True))
            pairs = sums.pop("pairs")
            logs |= {name: total / pairs for name, total in sums.items()}
            self.sums = {}
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nobody reads transformers' estimate, and it does not know these batches."""
        return 0


def shown(pairs: PairLogps, objective: Objective) -> dict[str, Tensor]:
    """What is logged, one value a pair [B]: log-probs in nats a token, rewards as the loss defines them."""
    chosen_B = pairs.chosen_logp_B / pairs.chosen_len_B
    rejected_B = pairs.rejected_logp_B / pairs.rejected_len_B
    reward = implicit_rewards(pairs, beta=objective.beta, with_reference=objective.with_reference)
    margin_B = reward[0] - reward[1]
    return {
        "pairs": torch.ones_like(chosen_B),
        "chosen_logp": chosen_B,
        "rejected_logp": rejected_B,
        "implicit_margin": chosen_B - rejected_B,
        "rewards/chosen": reward[0],
        "rewards/rejected": reward[1],
        "rewards/margins": margin_B,
        "rewards/accuracies": torch.heaviside(
            margin_B.where(margin_B.abs() > _NOISE, 0), torch.tensor(0.5).to(margin_B)
        ),
    }
