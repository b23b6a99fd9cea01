"""An adapter's end: read it again, check it, and write the policy with the adapter in its weights."""

from pathlib import Path

from apm_exp.core.types import Policy, TokenisedPair
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
    pair: TokenisedPair,
    expected: tuple[float, float],
) -> None:
    """Open the adapter in `source` beside the policy's weights, compare its log-probs of `pair` with those expected of
    it, and write the sum of both as an ordinary Hugging Face folder.

    The weights come from the policy's folder again, not from the live model: that one may be divided among processes
    (ZeRO-3). Raises ValueError where the log-probs differ by more than the dtype's noise.
    """
    model = open_adapter(source, policy, adapter, device)
    check_saved(model, source, policy, pair, expected)
    with quiet():
        model.merge_and_unload().save_pretrained(new_folder(folder))
    finish_folder(folder, policy)
