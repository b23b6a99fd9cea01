"""The plain forward of a few responses, one at a time, and checks of the padded form against it.

A model that is not causal, or whose results change with padding, would be scored wrongly without an error; it is
refused.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from apm_exp.core.errors import library_error
from apm_exp.core.rounding import TOLERANCE, rounding_of
from apm_exp.models.forward.padded import padded_inputs
from apm_exp.models.forward.row import Prompted

# Relative to the spread of the tokens' log-probs, which is small in untrained models.
_ROUNDED = 0.25  # in 16 bits, where rounding may route a token to other experts
_FLOAT32 = 1e-4
_SAME_BITS = 0.002  # if equal shapes give bitwise equal results; an untrained BERT has 0.007
_OTHER = (7, 6)  # replaces an even token by an odd one, and vice versa
_CONTROL = 50  # the first of so many parts of a vocabulary is left out (Gemma's, of 5,120, has 107 control tokens)


def ordinary(causal_lm: Any, ids: Sequence[int]) -> list[int]:
    """Return small token ids moved behind the control tokens, which are often the first of a vocabulary.

    A trained model has seen no text of control tokens: SmolLM2 gives it -21 nats a token, which bfloat16 rounds by up
    to 5 nats a token, and up to 0.4 of ordinary text.
    """
    first = (getattr(causal_lm.config.get_text_config(), "vocab_size", None) or 0) // _CONTROL
    return [first + token for token in ids]


def plain_logps(causal_lm: Any, prompts: Sequence[Prompted]) -> list[Tensor]:
    """Return the log-probs of each response's tokens (nats, float32) from the full logits of its own sequence."""
    return [_plain(causal_lm, prompt, response) for prompt, responses in prompts for response in responses]


def check_padded(causal_lm: Any, prompts: Sequence[Prompted], plain: Sequence[Tensor]) -> None:
    """Raise a one-line ValueError if the padded form gives other log-probs than the plain forward."""
    try:
        padded = causal_lm(**padded_inputs(prompts, causal_lm.device)).split([len(each) for each in plain])
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise refused(causal_lm, f"cannot score padded rows ({library_error(error)})") from error
    if (difference := _difference(causal_lm, padded, plain)) > 0:
        raise refused(
            causal_lm, f"gives other log-probs with padding than without (by {difference:.2g} nats per token)"
        )


def check_causal(causal_lm: Any, prompted: Prompted) -> None:
    """Raise a one-line ValueError if log-probs of a response's first half depend on its second half.

    Both sequences have the same length, so that a causal model computes the same values in any dtype.
    """
    prompt, (response, *_) = prompted
    half = len(response) // 2
    other = [*response[:half], *(_OTHER[token % 2] for token in response[half:])]
    first_R, second_R = (_plain(causal_lm, prompt, each)[:half] for each in (response, other))
    exact = causal_lm.device.type == "cpu" or rounding_of(causal_lm) == "float32"
    change = (first_R - second_R).square().mean().sqrt().item()
    if change > (_SAME_BITS if exact else _ROUNDED) * first_R.std().item():
        raise refused(causal_lm, f"is not causal (log-probs depend on later tokens, by {change:.2g} nats)")


def _difference(causal_lm: Any, computed: Sequence[Tensor], plain: Sequence[Tensor]) -> float:
    """Return by how many nats per token the log-probs of responses differ; 0 if only by rounding."""
    difference = max((a.sum() - b.sum()).abs().item() / len(b) for a, b in zip(computed, plain, strict=True))
    off_R = torch.cat(list(computed)) - torch.cat(list(plain))
    return 0.0 if _is_rounding(causal_lm, difference, off_R, plain) else difference


def difference_of_sums(causal_lm: Any, logp_N: Tensor, length_N: Tensor, plain: Sequence[Tensor]) -> float:
    """Return by how many nats per token the summed log-probs of responses differ; 0 if only by rounding.

    The rounding errors of a response's tokens grow with the root of their number, and what a wrong mask or position
    does with their number.
    """
    off_N = logp_N - torch.stack([each.sum() for each in plain])
    difference = (off_N.abs() / length_N).max().item()
    return 0.0 if _is_rounding(causal_lm, difference, off_N / length_N.sqrt(), plain) else difference


def _is_rounding(causal_lm: Any, difference: float, off: Tensor, plain: Sequence[Tensor]) -> bool:
    """Return whether rounding explains a difference in nats per token, or the errors of single tokens, `off`."""
    rounding = rounding_of(causal_lm)
    relative = (off.square().mean().sqrt() / torch.cat(list(plain)).std()).item()
    return difference <= TOLERANCE[rounding] or relative <= (_FLOAT32 if rounding == "float32" else _ROUNDED)


def refused(causal_lm: Any, problem: str) -> ValueError:
    """Return the error for a model that cannot be scored; some models (xLSTM) can be in float32 only."""
    name = f"model.path={causal_lm.config.name_or_path}: {type(causal_lm).__name__}"
    remedy = "" if rounding_of(causal_lm) == "float32" else "try model.dtype=float32, or "
    return ValueError(f"{name} {problem}; {remedy}use another causal language model")


def _plain(causal_lm: Any, prompt: Sequence[int], response: Sequence[int]) -> Tensor:
    ids = torch.tensor([[*prompt, *response]], device=causal_lm.device)
    logits_TV = causal_lm(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    return logits_TV.log_softmax(-1).gather(-1, ids[0, len(prompt) :, None])[:, 0]
