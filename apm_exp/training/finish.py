"""The end of a training: saving the policy, and checking that the saved policy equals the trained one."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from apm_exp.core.rounding import tolerated
from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.pair_forward import pair_forward
from apm_exp.training.end_of_policy import write_end_tokens

# a pickle, and peft's model card template; the artifact's inputs.yaml has the settings
_NOT_KEPT = ("training_args.bin", "README.md")


def save_final(trainer: Any, policy: Policy, folder: Path) -> None:
    """Save the trained weights with the policy's tokenizer.

    The result is an ordinary Hugging Face folder with all weights in the policy's dtype, or an adapter in peft's
    format. Every process must call this, as ZeRO-3 gathers the weights from all of them; the main process writes.
    """
    partial = new_folder(folder) if trainer.is_world_process_zero() else partial_of(folder)
    if not trainer.is_deepspeed_enabled and not hasattr(trainer.model, "peft_config"):
        trainer.model.to(getattr(torch, policy.dtype))
    trainer.save_model(str(partial))
    if trainer.is_world_process_zero():
        finish_folder(folder, policy)


def partial_of(folder: Path) -> Path:
    """Return the path to which a folder is written until it is complete."""
    return folder.with_name(f"{folder.name}.partial")


def new_folder(folder: Path) -> Path:
    """Return partial_of the folder after removing the files of an earlier attempt."""
    shutil.rmtree(partial_of(folder), ignore_errors=True)
    return partial_of(folder)


def finish_folder(folder: Path, policy: Policy) -> None:
    """Add the policy's tokenizer, and for a full model the end tokens, to a written folder; then rename it to its final
    name.
    """
    partial = partial_of(folder)
    for name in _NOT_KEPT:
        (partial / name).unlink(missing_ok=True)
    tokenizer = load_tokenizer(policy)
    tokenizer.save_pretrained(partial)
    if (partial / "config.json").exists():
        write_end_tokens(partial, tokenizer)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def logps_of(model: Any, pair: TokenizedPair) -> tuple[float, float]:
    """Return the mean log-probs of both responses in nats per token. Under ZeRO-3 every process must call this."""
    model.eval()
    with torch.inference_mode():
        logps = pair_forward(model, [pair])
    return (logps.chosen_logp_B / logps.chosen_len_B).item(), (logps.rejected_logp_B / logps.rejected_len_B).item()


def check_final(folder: Path, policy: Policy, device: str, pair: TokenizedPair, expected: tuple[float, float]) -> None:
    """Load the saved policy and check it; raises ValueError as check_saved."""
    check_saved(load_model(replace(policy, folder=folder, chat_template=None), device), folder, policy, pair, expected)


def check_saved(model: Any, folder: Path, policy: Policy, pair: TokenizedPair, expected: tuple[float, float]) -> None:
    """Compare a saved model's log-probs of one pair with those of the trained model.

    Raises ValueError if they are not finite or differ by more than the dtype's noise.
    """
    saved = logps_of(model, pair)
    lengths = map(len, pair.responses)
    off = ((abs(a - b) * n, tolerated(policy.rounding, n)) for a, b, n in zip(saved, expected, lengths, strict=True))
    if not all(difference <= allowed for difference, allowed in off):  # a difference that is not finite is not
        raise ValueError(
            f"{folder}: the saved policy gives {saved} nats per token, and the trained one gave {expected}; "
            "the weights were not saved correctly; re-run the same command"
        )
