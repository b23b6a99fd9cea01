"""After SIGTERM a training saves a checkpoint at the end of its step, the same step in every process, and stops."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback

from apm_exp.core.errors import Stopped


class StopCallback(TrainerCallback):
    """asked: whether this process was told to stop. One that was told is enough for all of them."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked, self.stopped = asked, False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop where any process was asked to. (transformers' own checkpoint after SIGTERM returns from
        `train` as if all steps were done, and asks each process for itself.)
        """
        self.stopped = any_process(self.asked())
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def check(self, state: Any) -> None:
        """Raise Stopped where the training was, once the checkpoint is whole whichever process asks."""
        if not self.stopped:
            return
        PartialState().wait_for_everyone()
        raise Stopped(
            f"the training stopped at step {state.global_step} of {state.max_steps} after SIGTERM, and saved a "
            "checkpoint; re-run the same command to resume"
        )


def any_process(flag: bool) -> bool:
    """Whether the flag is set in this process or in another one of the training; every process must ask."""
    here = PartialState()
    if here.num_processes == 1:
        return flag
    return bool(reduce(torch.tensor(float(flag), device=here.device), "sum").item())
