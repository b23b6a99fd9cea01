"""The peak memory of a training, of one rank on its device, in bytes."""

from dataclasses import dataclass

from apm_exp.jobs.plan.memory.activations import kept, laid_out, output_head, tokens_of
from apm_exp.jobs.plan.memory.states import States, states_of
from apm_exp.jobs.plan.memory.training import Training

_HOLES = 1.08  # of a CPU: resident memory to what was asked for; measured, docs/performance.md
_LEFT_BY_A_LAYER = 0.4  # of a CPU: what a layer that is computed again leaves in holes between gradients; measured
# Of a CPU, by whether layers are computed again: what an adapted matrix, which lays out its result four times (its own,
# B's, that scaled, their sum), leaves in holes, in results; measured.
_LEFT_BY_AN_ADAPTER = {False: 1.9, True: 1.5}


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

    On a CPU the step finds the forward's memory still taken: the C library keeps what is freed in pieces below 32 MiB.
    """
    states = states_of(training)
    activations, head = kept(training) + laid_out(training), output_head(training)
    held = states.weights + states.master + states.optimizer
    early = states.gradients if training.accumulates or training.processes > 1 or training.zero is not None else 0
    backward = held + early + activations + head
    step = held + states.gradients + states.working
    if not training.on_gpu:
        again = int(_LEFT_BY_A_LAYER * training.shape.layers * laid_out(training)) if training.checkpointing else 0
        left = _left_by_adapter(training)
        backward, step = int(_HOLES * (backward + left)), int(_HOLES * (step + left + max(activations, again)))
    return Estimate(states, activations, head, max(backward, step), _libraries(training))


def _left_by_adapter(training: Training) -> int:
    if training.frozen is None:
        return 0
    return int(_LEFT_BY_AN_ADAPTER[training.checkpointing] * tokens_of(training) * training.frozen.results)


def _libraries(training: Training) -> int:
    """What a process has before its first weight: torch, transformers and Python, or a CUDA context; DeepSpeed more."""
    return (450 if training.zero is None else 700) * 2**20
