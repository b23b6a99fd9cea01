"""Progress of a training: a progress bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from typing import Any

from transformers import TrainerCallback

from apm_exp.core.console import track


class StepProgress(TrainerCallback):
    """A callback that shows how many optimizer steps are done."""

    def __init__(self) -> None:
        self.steps: Iterator[int] = iter(())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the progress at the optimizer step at which the training starts or resumes."""
        if state.is_world_process_zero:
            self.steps = track(range(state.max_steps + 1), "train steps", state.max_steps)
            for _ in range(state.global_step + 1):
                next(self.steps, None)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance by one optimizer step."""
        next(self.steps, None)

    def close(self) -> None:
        """Remove the progress bar from the screen, also after an error."""
        close = getattr(self.steps, "close", None)
        if close:
            close()
