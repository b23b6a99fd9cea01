"""The peak memory of a training, of one rank on its device, in bytes."""

from dataclasses import dataclass

from apm_exp.memory.activations import kept, laid_out, output_head
from apm_exp.memory.states import States, states_of
from apm_exp.memory.training import Training


@dataclass(frozen=True)
class Estimate:
    """activations, head: of the largest forward. total: at the peak, which not all of the parts reach together.
    libraries: of the process, beside the total.
    """

    states: States
    activations: int
    head: int
    total: int
    libraries: int

    @property
    def needed(self) -> int:
        """All of the device's memory that a rank takes."""
        return self.total + self.libraries


def estimate(training: Training) -> Estimate:
    """The peak of a training: at the start of the largest backward, or in the optimizer's step after it.

    On a CPU the step's memory comes beside the forward's: the C library keeps what is freed in pieces below 32 MiB,
    and gradients that lie between them (docs/performance.md).
    """
    states = states_of(training)
    activations, head = kept(training) + laid_out(training), output_head(training)
    held = states.weights + states.master + states.optimizer
    early = states.gradients if training.accumulates or training.processes > 1 or training.zero is not None else 0
    left = 0 if training.on_gpu else activations + head
    backward = held + early + activations + head
    step = held + states.gradients + states.working + left
    return Estimate(states, activations, head, max(backward, step), _libraries(training))


def _libraries(training: Training) -> int:
    """What a process has before its first weight: torch, transformers and Python, or a CUDA context; DeepSpeed more."""
    return (450 if training.zero is None else 700) * 2**20
