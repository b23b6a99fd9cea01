"""The end of a training: save the policy, and see that what was saved is what was trained."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.pair_forward import pair_forward
from apm_exp.precision import TOLERANCE
from apm_exp.types import Policy, TokenisedPair


def save_final(trainer: Any, policy: Policy, folder: Path) -> None:
    """Save the trained weights in the policy's dtype, with its tokenizer, as an ordinary Hugging Face folder.

    Every process calls this, as ZeRO-3 gathers the weights from all of them; the first one writes.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    if trainer.is_world_process_zero():
        shutil.rmtree(partial, ignore_errors=True)
    if not trainer.is_deepspeed_enabled:
        trainer.model.to(getattr(torch, policy.dtype))
    trainer.save_model(str(partial))
    if not trainer.is_world_process_zero():
        return
    (partial / "training_args.bin").unlink(missing_ok=True)  # a pickle; the artifact's inputs.yaml says it all
    load_tokenizer(policy).save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def logps_of(model: Any, pair: TokenisedPair) -> tuple[float, float]:
    """Mean log-probs of both responses, nats a token. Under ZeRO-3 every process calls this."""
    model.eval()
    with torch.inference_mode():
        logps = pair_forward(model, [pair])
    return (logps.chosen_logp_B / logps.chosen_len_B).item(), (logps.rejected_logp_B / logps.rejected_len_B).item()


def check_final(folder: Path, policy: Policy, device: str, pair: TokenisedPair, expected: tuple[float, float]) -> None:
    """Open the saved policy again and compare its log-probs of one pair with the live model's.

    Raises ValueError where they differ by more than the dtype's noise or are not finite.
    """
    model = load_model(replace(policy, folder=folder, chat_template=None), device)
    found = logps_of(model, pair)
    difference = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    if not (math.isfinite(difference) and difference <= TOLERANCE[policy.dtype]):
        raise ValueError(
            f"{folder}: the saved policy gives {found} nats a token where the trained one gave {expected}; "
            "the weights were not saved whole, run the same command again"
        )
