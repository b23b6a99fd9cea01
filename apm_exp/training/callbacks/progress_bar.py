"""The training's steps as our own progress: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from typing import Any

from transformers import TrainerCallback

from apm_exp.core.console import track


class StepProgress(TrainerCallback):
    """Shows how many steps are done."""

    def __init__(self) -> None:
        self.steps: Iterator[int] = iter(())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin where a resumed training begins."""
        if state.is_world_process_zero:
            self.steps = track(range(state.max_steps + 1), "train steps", state.max_steps)
            for _ in range(state.global_step + 1):
                next(self.steps, None)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One step more."""
        next(self.steps, None)

    def close(self) -> None:
        """Take the bar off the screen, also after an error."""
        close = getattr(self.steps, "close", None)
        if close:
            close()
