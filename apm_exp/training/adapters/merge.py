"""Merging of a trained adapter: load it from disk, check it, and save the policy with the adapter merged into it."""

from pathlib import Path

from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.models.quiet import quiet
from apm_exp.training.adapters.adapter import Adapter
from apm_exp.training.adapters.peft_model import open_adapter
from apm_exp.training.finish import check_saved, finish_folder, new_folder


def merge(
    source: Path,
    folder: Path,
    policy: Policy,
    adapter: Adapter,
    device: str,
    pair: TokenizedPair,
    expected: tuple[float, float],
) -> None:
    """Load the adapter in `source`, check its log-probs of `pair`, and save the merged policy to `folder`.

    The merged policy is an ordinary Hugging Face folder. The base weights are loaded from the policy's folder and not
    taken from the model in memory, which may be sharded over processes (ZeRO-3). Raises ValueError if the log-probs
    differ from `expected` by more than the dtype's noise.
    """
    model = open_adapter(source, policy, adapter, device)
    check_saved(model, source, policy, pair, expected)
    with quiet():
        model.merge_and_unload().save_pretrained(new_folder(folder))
    finish_folder(folder, policy)
