"""The Hugging Face Trainer with a loss over pairs in the place of a loss over labels."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from apm_exp.core.rounding import TOLERANCE
from apm_exp.core.types import PairLogps
from apm_exp.models.pair_forward import accept_responses, padded_form, pair_forward
from apm_exp.training.batching import Batching
from apm_exp.training.callbacks.consumption import Consumption
from apm_exp.training.callbacks.guards import check_loss, difference_from_stored, first_step_problem
from apm_exp.training.global_batches import EpochLoader, GlobalBatches
from apm_exp.training.losses.history import AllPairs
from apm_exp.training.objective import Objective

_NONE = -1  # in the place of a row, where a process has fewer pairs than others
_NOISE = 1e-5  # margins of this size are rounding, as all are before the first step; they count as ties


class PairTrainer(Trainer):
    """Minimises the mean loss over the pairs of a global batch, each pair weighing the same in every batch."""

    objective: Objective

    def __init__(
        self, *, objective: Objective, consumption: Consumption, batches: Batching, model: nn.Module, **settings: Any
    ) -> None:
        accept_responses(model, probe=not is_deepspeed_zero3_enabled())  # which holds the weights in parts
        super().__init__(model=model, **settings)
        self.model_accepts_loss_kwargs = True  # our loss is divided by the whole global batch; do not divide again
        self.objective, self.consumption, self.batches = objective, consumption, batches
        self.sums: dict[str, Tensor] = {}
        self.weight_B = torch.ones(0)  # of the forward that is being made
        objective.history.gather = self._all_pairs

    def get_train_dataloader(self) -> EpochLoader:
        """This process's pairs. accelerate's sampler would repeat some to make the shares equal."""
        pairs: Any = self.train_dataset
        order = GlobalBatches(len(pairs), self.batches, self.args.seed, self.args.process_index)
        return EpochLoader(pairs, batch_sampler=order, collate_fn=self.data_collator)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Any]:
        """The forwards of one optimizer step in this process, and the number of pairs in those of all processes."""
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        index = [row for sample in samples for row in sample["pair_index"][sample["weight_B"] > 0].tolist()]
        index += [_NONE] * (num_batches * self.batches.per_device - len(index))  # all processes send the same number
        found = self.accelerator.gather(torch.tensor(index, device=device)).tolist()
        taken = [row for row in found if row != _NONE]
        self.consumption.take(taken)
        return samples, torch.tensor(len(taken), device=device)

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

        Raises ValueError with the worst pair and the cause. All processes look for it together, as under ZeRO-3 each
        forward is one of all.
        """
        worst, index = difference_from_stored(pairs).max(dim=0)
        rounding = TOLERANCE[self.objective.dtype]
        if self.accelerator.gather(worst[None]).max() <= rounding:
            return
        with torch.no_grad():
            again = self._logps(model, inputs)
            with padded_form(model):
                padded = self._logps(model, inputs)
        if not worst <= rounding:
            raise ValueError(first_step_problem(pairs, again, padded, self.objective.dtype, ids[int(index)]))

    def _losses(self, model: nn.Module, pairs: PairLogps, weight_B: Tensor) -> Tensor:
        """The loss of each pair; a stand-in's is 0, though the others may ask this process for what it has."""
        history, self.weight_B = self.objective.history, weight_B
        history.epochs, history.frozen = self._epochs(), not model.training
        loss_B = self.objective.loss(pairs)
        return loss_B if weight_B.any() else 0 * (pairs.chosen_logp_B + pairs.rejected_logp_B)

    def _epochs(self) -> float:
        """Passes over the pairs so far, in optimizer steps. transformers counts forwards, of which a small last batch
        has fewer than others, and how many follows from runtime.pairs_per_device.
        """
        pairs: Any = self.train_dataset
        return self.state.global_step / math.ceil(len(pairs) / self.batches.global_batch)

    def _all_pairs(self, value_B: Tensor) -> AllPairs:
        """See History.gather. Each process sends as many rows as a forward can have, and how many of them count."""
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
        """The batch on the device. transformers would round our log-probs to 16 bits for DeepSpeed."""
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
        """Add a forward to the sums that the next logged row is the mean of."""
        for name, value_B in shown(pairs, self.objective).items():
            self.sums[name] = self.sums.get(name, 0.0) + (value_B.detach() * weight_B).sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means over the pairs since the last logged step."""
        if "loss" in logs and self.sums:
            totals = self.accelerator.reduce(torch.stack(list(self.sums.values())), "sum").tolist()
            sums = dict(zip(self.sums, totals, strict=True))
            pairs = sums.pop("pairs")
            logs |= {name: total / pairs for name, total in sums.items()}
            self.sums = {}
        self.state.epoch = self._epochs()
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nobody reads transformers' estimate, and it does not know these batches."""
        return 0


def shown(pairs: PairLogps, objective: Objective) -> dict[str, Tensor]:
    """What is logged, one value a pair [B]: log-probs in nats a token, rewards as the loss defines them.

    chosen_change: what the training has added to the chosen response's log-prob, from the starting policy on.
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
