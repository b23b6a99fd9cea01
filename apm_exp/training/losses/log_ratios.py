"""Quantities that most losses use: log-ratios to the starting policy, and log-probs per token."""

from typing import TYPE_CHECKING

from apm_exp.core.types import PairLogps

if TYPE_CHECKING:
    from torch import Tensor


def log_ratios(pairs: PairLogps) -> tuple["Tensor", "Tensor"]:
    """Return log pi(y|x) - log pi_ref(y|x) of chosen and rejected responses, summed over tokens: nats, shape B."""
    return (
        pairs.chosen_logp_B - pairs.reference_chosen_logp_B,
        pairs.rejected_logp_B - pairs.reference_rejected_logp_B,
    )


def mean_log_ratios(pairs: PairLogps) -> tuple["Tensor", "Tensor"]:
    """Return the log-ratios divided by the response's length: nats per token, shape B."""
    chosen_B, rejected_B = log_ratios(pairs)
    return chosen_B / pairs.chosen_len_B, rejected_B / pairs.rejected_len_B


def mean_logps(pairs: PairLogps) -> tuple["Tensor", "Tensor"]:
    """Return log pi(y|x) / |y| of the chosen and the rejected responses: nats per token, shape B."""
    return pairs.chosen_logp_B / pairs.chosen_len_B, pairs.rejected_logp_B / pairs.rejected_len_B


def log_ratio_margin(pairs: PairLogps) -> "Tensor":
    """Return the chosen log-ratio minus the rejected one: nats, shape B."""
    chosen_B, rejected_B = log_ratios(pairs)
    return chosen_B - rejected_B
