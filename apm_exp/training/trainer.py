"""The Hugging Face Trainer with a loss over pairs in place of a loss over labels."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from apm_exp.core.types import PairLogps
from apm_exp.models.pair_forward import accept_responses, padded_form, pair_forward
from apm_exp.training.batching import Batching
from apm_exp.training.callbacks.consumption import Consumption
from apm_exp.training.callbacks.guards import check_loss, difference_from_stored, first_step_problem
from apm_exp.training.global_batches import EpochLoader, GlobalBatches
from apm_exp.training.losses.history import AllPairs
from apm_exp.training.objective import Objective

_NONE = -1  # stands for a row if a process has fewer pairs than the others
_NOISE = 1e-5  # margins of this size are only rounding, as before the first optimizer step; they count as ties


class PairTrainer(Trainer):
    """A Trainer that minimizes the mean loss over the pairs of a global batch; every pair has the same weight."""

    objective: Objective

    def __init__(
        self, *, objective: Objective, consumption: Consumption, batches: Batching, model: nn.Module, **settings: Any
    ) -> None:
        # ZeRO-3 shards the weights, so that they cannot be probed
        accept_responses(model, probe=not is_deepspeed_zero3_enabled())
        super().__init__(model=model, **settings)
        # our loss is divided by the whole global batch; transformers must not divide it again
        self.model_accepts_loss_kwargs = True
        self.objective, self.consumption, self.batches = objective, consumption, batches
        self.sums: dict[str, Tensor] = {}
        self.weight_B = torch.ones(0)  # of the current forward
        objective.history.gather = self._all_pairs

    def get_train_dataloader(self) -> EpochLoader:
        """Return the loader of this process's pairs. accelerate's sampler would repeat pairs to equalize the shares."""
        pairs: Any = self.train_dataset
        order = GlobalBatches(len(pairs), self.batches, self.args.seed, self.args.process_index)
        return EpochLoader(pairs, batch_sampler=order, collate_fn=self.data_collator)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Any]:
        """Return this process's forwards of one optimizer step, and the number of pairs in those of all processes."""
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        index = [row for sample in samples for row in sample["pair_index"][sample["weight_B"] > 0].tolist()]
        index += [_NONE] * (num_batches * self.batches.per_device - len(index))  # all processes send the same number
        rows = self.accelerator.gather(torch.tensor(index, device=device)).tolist()
        taken = [row for row in rows if row != _NONE]
        self.consumption.take(taken)
        return samples, torch.tensor(len(taken), device=device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """Return the contribution of one forward's pairs to the mean loss of the global batch.

        Gradients are averaged over processes, hence the factor.
        """
        ids = self.consumption.enter(inputs["pair_index"].tolist())
        pairs = self._logps(model, inputs)
        if self.state.global_step == 0:
            self._check_first_step(model, inputs, pairs, ids)
        loss_B = self._losses(model, pairs, inputs["weight_B"])
        check_loss(loss_B, self.state.global_step + 1, ids)
        self._add(pairs, inputs["weight_B"])
        return loss_B.sum() * self.accelerator.num_processes / num_items_in_batch

    def _check_first_step(self, model: nn.Module, inputs: dict[str, Any], pairs: PairLogps, ids: Sequence[str]) -> None:
        """Check that the untrained policy gives the stored log-probs, within the noise of its dtype.

        Raises ValueError with the worst pair and the cause. If one process finds a difference, all of them run the
        additional forwards, as a ZeRO-3 forward involves all processes.
        """
        worst, index = difference_from_stored(pairs, self.objective.dtype).max(dim=0)
        if self.accelerator.gather(worst[None]).max() <= 1:
            return
        with torch.no_grad():
            again = self._logps(model, inputs)
            with padded_form(model):
                padded = self._logps(model, inputs)
        if not worst <= 1:
            raise ValueError(first_step_problem(pairs, again, padded, self.objective.dtype, ids[int(index)]))

    def _losses(self, model: nn.Module, pairs: PairLogps, weight_B: Tensor) -> Tensor:
        """Return the loss of each pair.

        The loss of a stand-in is 0, but the loss function still runs, as it may gather values from all processes.
        """
        history, self.weight_B = self.objective.history, weight_B
        history.epochs, history.frozen = self._epochs(), not model.training
        loss_B = self.objective.loss(pairs)
        return loss_B if weight_B.any() else 0 * (pairs.chosen_logp_B + pairs.rejected_logp_B)

    def _epochs(self) -> float:
        """Return the number of passes over the pairs so far, computed from optimizer steps.

        transformers counts forwards, whose number in a small last batch differs and depends on
        runtime.pairs_per_device.
        """
        pairs: Any = self.train_dataset
        return self.state.global_step / math.ceil(len(pairs) / self.batches.global_batch)

    def _all_pairs(self, value_B: Tensor) -> AllPairs:
        """Gather values from all processes, as History.gather describes.

        Each process sends a full forward of rows (padded) and the number of rows that count.
        """
        rows = len(value_B) if self.weight_B.any() else 0
        if self.accelerator.num_processes == 1:
            return value_B, slice(0, rows)
        padded = value_B.new_zeros(self.batches.per_device, *value_B.shape[1:])
        padded[:rows] = value_B[:rows]
        parts = self.accelerator.gather(padded[None])
        counts = self.accelerator.gather(torch.tensor([rows], device=value_B.device)).tolist()
        before = sum(counts[: self.accelerator.process_index])
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)]), slice(before, before + rows)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move the batch to the device. transformers would cast our log-probs to 16 bits for DeepSpeed."""
        device = self.args.device
        return {name: part.to(device) if isinstance(part, Tensor) else part for name, part in inputs.items()}

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
            rewards_margin_B=inputs["rewards_margin_B"],
        )

    def _add(self, pairs: PairLogps, weight_B: Tensor) -> None:
        """Add a forward to the sums from which the next logged row's means are computed."""
        for name, value_B in shown(pairs, self.objective).items():
            self.sums[name] = self.sums.get(name, 0.0) + (value_B.detach() * weight_B).sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log with the means over the pairs since the last logged optimizer step."""
        if "loss" in logs and self.sums:
            totals = self.accelerator.reduce(torch.stack(list(self.sums.values())), "sum").tolist()
            sums = dict(zip(self.sums, totals, strict=True))
            pairs = sums.pop("pairs")
            logs |= {name: total / pairs for name, total in sums.items()}
            self.sums = {}
        self.state.epoch = self._epochs()
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: transformers' estimate does not fit these batches and is not used."""
        return 0


def shown(pairs: PairLogps, objective: Objective) -> dict[str, Tensor]:
    """Return the logged metrics, one value per pair [B]: log-probs in nats per token, rewards as the loss defines them.

    chosen_change: by how much the training has changed the chosen response's log-prob since the starting policy.
    """
    chosen_B = pairs.chosen_logp_B / pairs.chosen_len_B
    rejected_B = pairs.rejected_logp_B / pairs.rejected_len_B
    reward = objective.rewards(pairs)
    margin_B = reward[0] - reward[1]
    return {
        "pairs": torch.ones_like(chosen_B),
        "chosen_logp": chosen_B,
        "rejected_logp": rejected_B,
        "chosen_change": chosen_B - pairs.reference_chosen_logp_B / pairs.chosen_len_B,
        "implicit_margin": chosen_B - rejected_B,
        "rewards/chosen": reward[0],
        "rewards/rejected": reward[1],
        "rewards/margins": margin_B,
        "rewards/accuracies": torch.heaviside(
            margin_B.where(margin_B.abs() > _NOISE, 0), torch.tensor(0.5).to(margin_B)
        ),
    }
