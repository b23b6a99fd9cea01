"""The peak memory of scoring, of one rank on its device, in bytes."""

from apm_exp.jobs.plan.memory.activations import logits_block
from apm_exp.jobs.plan.memory.training import Training


def scoring_bytes(training: Training, tokens_per_batch: int) -> int:
    """Weights in the policy's dtype, the widest layer of a full batch of tokens, and a block of logits.

    At its widest a layer holds the MLP's gate, up and product and six rows of the hidden size: the residual, its norm,
    query, key, value and the attention's result.
    """
    shape, each = training.shape, training.bytes_of_dtype
    widest = tokens_per_batch * each * (3 * shape.intermediate + 6 * shape.hidden)
    return each * shape.parameters + widest + logits_block(training, tokens_per_batch)
