"""A stop after SIGTERM: all processes save a checkpoint at the end of the same optimizer step and stop."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback

from apm_exp.core.errors import Stopped


class StopCallback(TrainerCallback):
    """A callback that stops the training if any process was asked to stop. asked: whether this process was."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked, self.stopped = asked, False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop if any process was asked to stop.

        transformers' own checkpoint after SIGTERM is not used: it returns from `train` as if all steps were done, and
        each process decides for itself.
        """
        self.stopped = any_process(self.asked())
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def check(self, state: Any) -> None:
        """Raise Stopped if the training was stopped, after all processes have finished the checkpoint."""
        if not self.stopped:
            return
        PartialState().wait_for_everyone()
        raise Stopped(
            f"the training stopped at optimizer step {state.global_step} of {state.max_steps} after SIGTERM and saved "
            "a checkpoint; re-run the same command to resume"
        )


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any process of the training; every process must call this."""
    here = PartialState()
    if here.num_processes == 1:
        return flag
    return bool(reduce(torch.tensor(float(flag), device=here.device), "sum").item())
