"""Log-probs of response tokens from hidden states, the logits of a few of them at a time.

Shape letters: R response tokens, C those of one chunk, H hidden size, V vocabulary. Logits, their log-sum-exp and the
log-probs are float32 whatever the model's dtype.
"""

from collections.abc import Iterator
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

LOGITS_PER_CHUNK = 2**24  # elements of one chunk's float32 logits: 64 MiB
_ALIGNED = 64


def teach(head: Any) -> None:
    """Teach an output head to return the log-probs [R] of `token_R` where it is given; else it gives logits as before.

    The whole row enters the head in one call, so that the hooks of wrappers that gather its weights (ZeRO-3) act
    once, and equally often in every process.
    """
    if not hasattr(head, "logits"):
        head.logits = head.forward
        head.forward = MethodType(_forward, head)


def _forward(
    self: Any, hidden: Tensor, *args: Any, token_R: Tensor | None = None, soft_cap: float | None = None, **kwargs: Any
) -> Tensor:
    if token_R is None:
        return self.logits(hidden, *args, **kwargs)
    with torch.autocast(hidden.device.type, enabled=False):
        if type(self) is nn.Linear:
            dtype = _product_dtype(hidden, self.weight)
            return _LinearLogps.apply(hidden.to(dtype), self.weight.to(dtype), self.bias, token_R, soft_cap)
        return _module_logps(self, hidden, token_R, soft_cap)


def soft_cap_of(causal_lm: Any) -> float | None:
    """The soft-cap on the logits that a model declares (Gemma-2), or None."""
    return getattr(causal_lm.config.get_text_config(), "final_logit_softcapping", None)


def rows_per_chunk(vocabulary: int) -> int:
    """The tokens whose logits are laid out at once: whole cache lines of them, which a CPU multiplies faster."""
    rows = max(1, LOGITS_PER_CHUNK // vocabulary)
    return rows - rows % _ALIGNED if rows > _ALIGNED else rows


def _product_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """What the head's factors are cast to. CUDA adds 16-bit products up in float32 and can return that; elsewhere
    the factors themselves become float32.
    """
    if hidden.is_cuda and torch.is_autocast_enabled("cuda"):
        return torch.get_autocast_dtype("cuda")
    sixteen = (torch.bfloat16, torch.float16)
    return weight.dtype if hidden.is_cuda and weight.dtype in sixteen else torch.float32


class _LinearLogps(torch.autograd.Function):
    """Log-probs of tokens under a linear head. The backward pass computes the logits again, chunk by chunk.

    Logits are laid out [V, C]: weight @ hidden.T is the faster order of the two on a CPU, by a fifth for few tokens.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_RH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, token_R: Tensor, soft_cap: float | None
    ) -> Tensor:
        logp_R = torch.empty(token_R.shape, dtype=torch.float32, device=hidden_RH.device)
        lse_R = torch.empty_like(logp_R)
        room = _room(hidden_RH, weight_VH)
        for part in _chunks(len(token_R), len(weight_VH)):
            logits_VC = _logits(hidden_RH[part], weight_VH, bias_V, soft_cap, room)
            own_C = logits_VC.gather(0, token_R[None, part])[0]
            lse_R[part] = _log_sum_exp(logits_VC)
            logp_R[part] = own_C - lse_R[part]
        ctx.save_for_backward(hidden_RH, weight_VH, bias_V, token_R, lse_R)
        ctx.soft_cap = soft_cap
        return logp_R

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden_RH, weight_VH, bias_V, token_R, lse_R = ctx.saved_tensors
        for_hidden, for_weight, for_bias = ctx.needs_input_grad[:3]
        hidden_grad = torch.empty_like(hidden_RH) if for_hidden else None
        weight_grad = torch.zeros_like(weight_VH, dtype=torch.float32) if for_weight else None
        bias_grad = torch.zeros_like(bias_V, dtype=torch.float32) if for_bias else None
        room = _room(hidden_RH, weight_VH)
        for part in _chunks(len(token_R), len(weight_VH)):
            logits_VC = _logits(hidden_RH[part], weight_VH, bias_V, ctx.soft_cap, room)
            slope_VC = _slope(logits_VC, lse_R[part], token_R[part], gradients[0][part], ctx.soft_cap)
            product_VC = slope_VC.to(hidden_RH.dtype)
            if hidden_grad is not None:
                hidden_grad[part] = product_VC.t() @ weight_VH
            if weight_grad is not None:
                _add_product(weight_grad, product_VC, hidden_RH[part])
            if bias_grad is not None:
                bias_grad += slope_VC.sum(1)
        weight_grad = None if weight_grad is None else weight_grad.to(weight_VH.dtype)
        return hidden_grad, weight_grad, None if bias_grad is None else bias_grad.to(bias_V.dtype), None, None


def _chunks(rows: int, vocabulary: int) -> Iterator[slice]:
    size = rows_per_chunk(vocabulary)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _room(hidden_RH: Tensor, weight_VH: Tensor) -> Tensor:
    """Memory for the logits of one chunk, used again for each: fresh pages would cost more than the softmax."""
    rows = min(rows_per_chunk(len(weight_VH)), len(hidden_RH))
    return torch.empty(rows * len(weight_VH), dtype=torch.float32, device=hidden_RH.device)


def _logits(
    hidden_CH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, soft_cap: float | None, room: Tensor
) -> Tensor:
    """The logits of one chunk, [V, C], in `room`."""
    vocabulary, rows = len(weight_VH), len(hidden_CH)
    logits_VC = room[: vocabulary * rows].view(vocabulary, rows)
    if hidden_CH.dtype == torch.float32:
        torch.mm(weight_VH, hidden_CH.t(), out=logits_VC)
    else:
        torch.mm(weight_VH, hidden_CH.t(), out_dtype=torch.float32, out=logits_VC)
    if bias_V is not None:
        logits_VC += bias_V[:, None]
    if soft_cap is not None:
        logits_VC.div_(soft_cap).tanh_().mul_(soft_cap)
    return logits_VC


def _log_sum_exp(logits_VC: Tensor) -> Tensor:
    """torch.logsumexp over the vocabulary, in the place of the logits, which are gone after it."""
    top_C = logits_VC.amax(0)
    return logits_VC.sub_(top_C).exp_().sum(0).log_().add_(top_C)


def _slope(logits_VC: Tensor, lse_C: Tensor, token_C: Tensor, grad_C: Tensor, soft_cap: float | None) -> Tensor:
    """The derivative of the weighted log-probs by the uncapped logits: grad * (one-hot - softmax), tanh's included."""
    capped = None if soft_cap is None else 1 - (logits_VC / soft_cap) ** 2
    slope_VC = logits_VC.sub_(lse_C).exp_().mul_(-grad_C)
    slope_VC.scatter_add_(0, token_C[None], grad_C[None].to(slope_VC.dtype))
    return slope_VC if capped is None else slope_VC.mul_(capped)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if left.dtype == torch.float32:
        total.addmm_(left, right)
    else:
        total += torch.mm(left, right, out_dtype=torch.float32)


def _module_logps(head: Any, hidden_RH: Tensor, token_R: Tensor, soft_cap: float | None) -> Tensor:
    """The same through any module (an adapter on the head, quantised weights), by way of its own forward."""
    vocabulary = head.logits(hidden_RH[:1]).shape[-1]
    once = partial(_chunk_logps, head.logits, soft_cap)
    again = partial(checkpoint, once, use_reentrant=False)  # an adapter's dropout is the same the second time
    run = again if torch.is_grad_enabled() else once
    return torch.cat([run(hidden_RH[part], token_R[part]) for part in _chunks(len(token_R), vocabulary)])


def _chunk_logps(logits: Any, soft_cap: float | None, hidden_CH: Tensor, token_C: Tensor) -> Tensor:
    logits_CV = logits(hidden_CH).float()
    if soft_cap is not None:
        logits_CV = torch.tanh(logits_CV / soft_cap) * soft_cap
    return -cross_entropy(logits_CV, token_C, reduction="none")
