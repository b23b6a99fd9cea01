"""How the work is run. Nothing here changes a result beyond rounding, so nothing of it is part of an artifact's key."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from apm_exp.models.device import pick_device


@dataclass(frozen=True)
class Runtime:
    """device: a torch device. pairs_per_device: of one training batch. tokens_per_batch: of one scoring forward."""

    device: str
    pairs_per_device: int
    tokens_per_batch: int


def run_on(
    *,
    device: str,
    pairs_per_device: Annotated[int, Field(gt=0)],
    tokens_per_batch: Annotated[int, Field(gt=0)],
    threads: Annotated[int, Field(gt=0)] | None,
) -> Runtime:
    """The runtime settings with the device resolved; sets torch's CPU threads where `threads` is given.

    Raises ValueError for a device that this machine does not have.
    """
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return Runtime(pick_device({"device": device}), pairs_per_device, tokens_per_batch)
