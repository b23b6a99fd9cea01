"""The end of a training: save the policy, and see that what was saved is what was trained."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from apm_exp.core.rounding import TOLERANCE
from apm_exp.core.types import Policy, TokenisedPair
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.pair_forward import pair_forward
from apm_exp.training.end_of_policy import write_end_tokens

_NOT_KEPT = ("training_args.bin", "README.md")  # a pickle, and peft's empty form; the artifact's inputs.yaml says it


def save_final(trainer: Any, policy: Policy, folder: Path) -> None:
    """Save what was trained: all weights in the policy's dtype as an ordinary Hugging Face folder, or an adapter's in
    peft's own form; with the policy's tokenizer.

    Every process calls this, as ZeRO-3 gathers the weights from all of them; the first one writes.
    """
    partial = new_folder(folder) if trainer.is_world_process_zero() else partial_of(folder)
    if not trainer.is_deepspeed_enabled and not hasattr(trainer.model, "peft_config"):
        trainer.model.to(getattr(torch, policy.dtype))
    trainer.save_model(str(partial))
    if trainer.is_world_process_zero():
        finish_folder(folder, policy)


def partial_of(folder: Path) -> Path:
    """Where a folder is written before it is whole."""
    return folder.with_name(f"{folder.name}.partial")


def new_folder(folder: Path) -> Path:
    """partial_of the folder, with nothing of an earlier attempt in it."""
    shutil.rmtree(partial_of(folder), ignore_errors=True)
    return partial_of(folder)


def finish_folder(folder: Path, policy: Policy) -> None:
    """Add the policy's tokenizer to the written folder, and to a whole model its end tokens; give it its name."""
    partial = partial_of(folder)
    for name in _NOT_KEPT:
        (partial / name).unlink(missing_ok=True)
    tokenizer = load_tokenizer(policy)
    tokenizer.save_pretrained(partial)
    if (partial / "config.json").exists():
        write_end_tokens(partial, tokenizer)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def logps_of(model: Any, pair: TokenisedPair) -> tuple[float, float]:
    """Mean log-probs of both responses, nats a token. Under ZeRO-3 every process calls this."""
    model.eval()
    with torch.inference_mode():
        logps = pair_forward(model, [pair])
    return (logps.chosen_logp_B / logps.chosen_len_B).item(), (logps.rejected_logp_B / logps.rejected_len_B).item()


def check_final(folder: Path, policy: Policy, device: str, pair: TokenisedPair, expected: tuple[float, float]) -> None:
    """Open the saved policy again and check it; raises ValueError as check_saved."""
    check_saved(load_model(replace(policy, folder=folder, chat_template=None), device), folder, policy, pair, expected)


def check_saved(model: Any, folder: Path, policy: Policy, pair: TokenisedPair, expected: tuple[float, float]) -> None:
    """Compare the log-probs that a saved model gives one pair with those of the live one.

    Raises ValueError where they differ by more than the dtype's noise or are not finite.
    """
    found = logps_of(model, pair)
    difference = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    if not (math.isfinite(difference) and difference <= TOLERANCE[policy.rounding]):
        raise ValueError(
            f"{folder}: the saved policy gives {found} nats a token where the trained one gave {expected}; "
            "the weights were not saved whole, run the same command again"
        )
