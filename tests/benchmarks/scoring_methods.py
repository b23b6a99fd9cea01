"""The ways to score pairs that are compared, each on modules of its own around the same weights."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from transformers import LlamaForCausalLM
from trl import DPOTrainer

from apm_exp.core.types import TokenizedPair
from apm_exp.models.score_pairs import score_pairs, token_budget
from apm_exp.runtime.settings import Runtime, run_on
from tests.benchmarks.contenders import OURS, PADDED
from tests.benchmarks.model_shape import same_weights
from tests.benchmarks.padded import padded_logps
from tests.benchmarks.trl_peer import trl_reference_logps, trl_trainer
from tests.benchmarks.workload import batches

PADDED_BATCH, TRL_BATCH = 4, 8  # pairs
Score = Callable[[list[TokenizedPair]], Tensor]


def scoring_method(name: str, model: LlamaForCausalLM, tokens_per_batch: int | None) -> Score:
    """A function from pairs to their summed log-probs [P, 2] (nats; chosen, rejected), in the pairs' order."""
    own = same_weights(model)
    if name == OURS:
        return partial(_ours, own, tokens_per_batch)
    if name == PADDED:
        return partial(_padded, own)
    return partial(_trl, trl_trainer(own, beta=0.1))


def _ours(model: LlamaForCausalLM, tokens_per_batch: int | None, pairs: list[TokenizedPair]) -> Tensor:
    names = [str(index) for index in range(len(pairs))]
    budget = token_budget(our_runtime(model, tokens_per_batch=tokens_per_batch), [pair.length for pair in pairs])
    return torch.tensor([logps for _, *logps in sorted(score_pairs(model, pairs, names, budget))])


def our_runtime(model: LlamaForCausalLM, tokens_per_batch: int | None = None) -> Runtime:
    """How our own command would run this model; from then on this process keeps freed memory."""
    return run_on(
        device=str(model.device),
        processes=1,
        pairs_per_device=4,
        tokens_per_batch=tokens_per_batch,
        threads=None,
        tf32=False,
    )


@torch.inference_mode()
def _padded(model: LlamaForCausalLM, pairs: list[TokenizedPair]) -> Tensor:
    return torch.cat([torch.stack(padded_logps(model, part), 1).cpu() for part in batches(pairs, PADDED_BATCH)])


def _trl(trainer: DPOTrainer, pairs: list[TokenizedPair]) -> Tensor:
    parts = batches(pairs, TRL_BATCH)
    return torch.cat([torch.stack(trl_reference_logps(trainer, part), 1).float().cpu() for part in parts])
