"""Log-probs of response tokens from hidden states, with the logits of one block at a time.

Shape letters: R response tokens, C those of one chunk, H hidden size, V vocabulary, E entries of it in one block.
Logits, their log-sum-exp and the log-probs are float32 for every dtype of the model.
"""

import math
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

# by device: tokens x vocabulary entries whose logits are in memory at once
BLOCK = {"cpu": (512, 4096), "cuda": (2048, 8192)}
_LOGITS_AT_ONCE = 2**24  # for a head that only computes logits of the whole vocabulary: 64 MiB in float32


def teach(head: Any) -> None:
    """Make an output head return the log-probs [R] of `token_R` if it is passed; otherwise it returns logits as before.

    The whole row enters the head in one call, so that hooks of wrappers that gather its weights (ZeRO-3) run once, and
    equally often in every process.
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
    """Return the soft cap on the logits that a model declares (Gemma-2), or None."""
    return getattr(causal_lm.config.get_text_config(), "final_logit_softcapping", None)


def _product_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """Return the dtype to which the head's factors are cast.

    CUDA accumulates 16-bit products in float32 and can return that; on other devices the factors become float32.
    """
    if hidden.is_cuda and torch.is_autocast_enabled("cuda"):
        return torch.get_autocast_dtype("cuda")
    sixteen = (torch.bfloat16, torch.float16)
    return weight.dtype if hidden.is_cuda and weight.dtype in sixteen else torch.float32


class _LinearLogps(torch.autograd.Function):
    """Log-probs of tokens under a linear head; the backward pass recomputes the logits block by block.

    Logits have the layout [E, C], as weight @ hidden.T is the faster order on a CPU, by a fifth for few tokens.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_RH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, token_R: Tensor, soft_cap: float | None
    ) -> Tensor:
        head = _Blocks(weight_VH, bias_V, soft_cap, hidden_RH)
        logp_R = torch.empty(token_R.shape, dtype=torch.float32, device=hidden_RH.device)
        lse_R = torch.empty_like(logp_R)
        for part in head.parts:
            own_C, top_C, total_C = torch.zeros_like(logp_R[part]), lse_R[part].fill_(-math.inf), torch.zeros(())
            for block in head.blocks:
                logits_EC = head.logits(hidden_RH[part], block)
                index_C, inside_C = _within(token_R[part], block)
                own_C = own_C.where(~inside_C, logits_EC.gather(0, index_C[None])[0])
                before_C, top_C = top_C, top_C.maximum(logits_EC.amax(0))
                total_C = total_C * (before_C - top_C).exp_() + logits_EC.sub_(top_C).exp_().sum(0)
            lse_R[part] = total_C.log_().add_(top_C)
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
        head = _Blocks(weight_VH, bias_V, ctx.soft_cap, hidden_RH)
        for part in head.parts:
            part_grad = torch.zeros_like(hidden_RH[part], dtype=torch.float32)
            for block in head.blocks:
                logits_EC = head.logits(hidden_RH[part], block)
                inside = _within(token_R[part], block)
                slope_EC = _slope(logits_EC, lse_R[part], *inside, gradients[0][part], ctx.soft_cap)
                product_EC = slope_EC.to(hidden_RH.dtype)
                if hidden_grad is not None:
                    _add_product(part_grad, product_EC.t(), weight_VH[block])
                if weight_grad is not None:
                    _add_product(weight_grad[block], product_EC, hidden_RH[part])
                if bias_grad is not None:
                    bias_grad[block] += slope_EC.sum(1)
            if hidden_grad is not None:
                hidden_grad[part] = part_grad
        weight_grad = None if weight_grad is None else weight_grad.to(weight_VH.dtype)
        return hidden_grad, weight_grad, None if bias_grad is None else bias_grad.to(bias_V.dtype), None, None


class _Blocks:
    """A linear head that computes the logits of some tokens and a part of the vocabulary at a time.

    All blocks reuse the same memory, as allocating new pages would cost more than the softmax.
    """

    def __init__(self, weight_VH: Tensor, bias_V: Tensor | None, soft_cap: float | None, hidden_RH: Tensor) -> None:
        self.weight_VH, self.bias_V, self.soft_cap = weight_VH, bias_V, soft_cap
        tokens, entries = BLOCK.get(hidden_RH.device.type, BLOCK["cuda"])
        self.parts, self.blocks = _slices(len(hidden_RH), tokens), _slices(len(weight_VH), entries)
        most = min(tokens, len(hidden_RH)) * min(entries, len(weight_VH))
        self.room = torch.empty(most, dtype=torch.float32, device=hidden_RH.device)

    def logits(self, hidden_CH: Tensor, block: slice) -> Tensor:
        """Compute the capped logits of one block, [E, C], overwriting those of the previous one."""
        weight_EH = self.weight_VH[block]
        logits_EC = self.room[: len(weight_EH) * len(hidden_CH)].view(len(weight_EH), len(hidden_CH))
        if hidden_CH.dtype == torch.float32:
            torch.mm(weight_EH, hidden_CH.t(), out=logits_EC)
        else:
            torch.mm(weight_EH, hidden_CH.t(), out_dtype=torch.float32, out=logits_EC)
        if self.bias_V is not None:
            logits_EC += self.bias_V[block, None]
        if self.soft_cap is not None:
            logits_EC.div_(self.soft_cap).tanh_().mul_(self.soft_cap)
        return logits_EC


def _slices(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _within(token_C: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """Return the tokens' indices in a block of the vocabulary (0 if outside), and which tokens are inside it."""
    index_C = token_C - block.start
    inside_C = (index_C >= 0) & (index_C < block.stop - block.start)
    return index_C.where(inside_C, 0), inside_C


def _slope(
    logits_EC: Tensor, lse_C: Tensor, index_C: Tensor, inside_C: Tensor, grad_C: Tensor, soft_cap: float | None
) -> Tensor:
    """Return the gradient with respect to the uncapped logits: grad * (one-hot - softmax), times tanh's derivative."""
    capped = None if soft_cap is None else 1 - (logits_EC / soft_cap) ** 2
    slope_EC = logits_EC.sub_(lse_C).exp_().mul_(-grad_C)
    slope_EC.scatter_add_(0, index_C[None], grad_C.where(inside_C, 0)[None].to(slope_EC.dtype))
    return slope_EC if capped is None else slope_EC.mul_(capped)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    if left.dtype == torch.float32:
        total.addmm_(left, right)
    else:
        total += torch.mm(left, right, out_dtype=torch.float32)


def _module_logps(head: Any, hidden_RH: Tensor, token_R: Tensor, soft_cap: float | None) -> Tensor:
    """Compute the same for any other module (an adapter on the head, quantized weights) with its own forward."""
    vocabulary = head.logits(hidden_RH[:1]).shape[-1]
    once = partial(_chunk_logps, head.logits, soft_cap)
    again = partial(checkpoint, once, use_reentrant=False)  # the recomputation uses the same dropout of an adapter
    run = again if torch.is_grad_enabled() else once
    parts = _slices(len(token_R), max(1, _LOGITS_AT_ONCE // vocabulary))
    return torch.cat([run(hidden_RH[part], token_R[part]) for part in parts])


def _chunk_logps(logits: Any, soft_cap: float | None, hidden_CH: Tensor, token_C: Tensor) -> Tensor:
    logits_CV = logits(hidden_CH).float()
    if soft_cap is not None:
        logits_CV = torch.tanh(logits_CV / soft_cap) * soft_cap
    return -cross_entropy(logits_CV, token_C, reduction="none")
