"""The peak memory of a training, of one rank on its device, in bytes."""

from dataclasses import dataclass

from apm_exp.jobs.plan.memory.activations import kept, laid_out, output_head, small_share, tokens_of
from apm_exp.jobs.plan.memory.states import States, states_of
from apm_exp.jobs.plan.memory.training import Training

_HOLES = 1.08  # of a CPU: resident memory to what was asked for; measured, docs/performance.md
_LEFT_BY_A_LAYER = 0.4  # of a CPU: what a layer that is computed again leaves in holes between gradients; measured
# Of a CPU, by whether layers are computed again: what an adapted matrix, which lays out its result four times (its own,
# B's, that scaled, their sum), leaves in holes, in results; measured.
_LEFT_BY_AN_ADAPTER = {False: 1.9, True: 1.5}
_MAPPED = 32 * 2**20  # bytes: glibc maps larger tensors by themselves, and returns them whole when they are freed


@dataclass(frozen=True)
class Estimate:
    """activations, head: of the largest forward. holes: memory of a CPU's process that is free but in small pieces.
    total: at the peak, never more than all parts together. libraries: of the process, beside the total.
    """

    states: States
    activations: int
    head: int
    holes: int
    total: int
    libraries: int

    @property
    def needed(self) -> int:
        """Return all of the device's memory that a rank takes."""
        return self.total + self.libraries


def estimate(training: Training) -> Estimate:
    """Return the peak of a training: at the start of the largest backward, or in the optimizer step after it.

    On a CPU the step finds what the forward has freed in small tensors still taken: the C library keeps it in pieces.
    """
    states = states_of(training)
    activations, head = kept(training) + laid_out(training), output_head(training)
    held = states.weights + states.master + states.optimizer
    early = states.gradients if training.accumulates or training.processes > 1 or training.zero is not None else 0
    backward = held + early + activations + head
    step = held + states.gradients + states.working
    if training.on_gpu:
        return Estimate(states, activations, head, 0, max(backward, step), _libraries(training))
    freed = int(small_share(training, _MAPPED) * max(activations, _again(training)))
    total = int(_HOLES * (max(backward, step + freed) + _left_by_adapter(training)))
    everything = held + states.gradients + states.working + activations + head
    return Estimate(states, activations, head, max(0, total - everything), total, _libraries(training))


def _again(training: Training) -> int:
    """Return the bytes of holes that recomputed layers leave, if their tensors are small."""
    return int(_LEFT_BY_A_LAYER * training.shape.layers * laid_out(training)) if training.checkpointing else 0


def _left_by_adapter(training: Training) -> int:
    if training.frozen is None:
        return 0
    results = (tokens_of(training) * each for each in training.frozen.results)
    return int(_LEFT_BY_AN_ADAPTER[training.checkpointing] * sum(size for size in results if size <= _MAPPED))


def _libraries(training: Training) -> int:
    """Return the bytes of a process before its first weight: libraries and a CUDA context; more with DeepSpeed."""
    return (450 if training.zero is None else 700) * 2**20
