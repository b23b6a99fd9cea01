"""Weights, gradients and optimizer states of one rank, in bytes, as the training really keeps them.

Without DeepSpeed what is trained is float32, with gradients and states, whatever model.dtype says
(model_for_training.py). DeepSpeed keeps weights and gradients in model.dtype, and float32 master weights beside them,
also where that is float32. An adapter's frozen weights are in model.dtype, or in 4 bits, with nothing beside them.
"""

from dataclasses import dataclass

from apm_exp.jobs.plan.memory.training import Training

_FLOAT32 = 4
_STATES = (  # bytes a parameter of what an optimizer keeps, by a part of its name; the first that fits
    *(("adafactor", None), ("lion_8bit", 1), ("lion", 4), ("8bit", 2), ("ademamix", 12), ("rmsprop", 4)),
    *(("adagrad", 4), ("sgd", 0)),
)
_ADAM = 8  # two float32 states; also what is assumed of names that are not listed


@dataclass(frozen=True)
class States:
    """Bytes of one rank on its device. working: of the optimizer step alone. host: in the machine's memory."""

    weights: int
    gradients: int
    master: int
    optimizer: int
    working: int
    host: int


def optimizer_bytes(training: Training) -> int:
    """Return the bytes of the optimizer's states of all trainable parameters, over all ranks."""
    for part, each in _STATES:
        if part in training.optimizer:
            return _FLOAT32 * training.shape.factored if each is None else each * training.shape.trainable
    return _ADAM * training.shape.trainable


def states_of(training: Training) -> States:
    """Return the bytes that a rank holds for its training, independent of the length of the pairs."""
    return _plain(training) if training.zero is None else _deepspeed(training)


def _plain(training: Training) -> States:
    shape, ranks = training.shape, training.processes
    copies = 2 if ranks > 1 else 1  # DistributedDataParallel has the gradients again, in its buckets
    return States(
        weights=_FLOAT32 * shape.trainable + (training.frozen.weights if training.frozen else 0),
        gradients=copies * _FLOAT32 * shape.trainable,
        master=0,
        optimizer=optimizer_bytes(training),
        working=_working(training, shape.trainable),
        host=0,
    )


def _working(training: Training, elements: int) -> int:
    """Return the bytes that an optimizer allocates for an optimizer step.

    torch's AdamW has a root of every square at once on a GPU, and on a CPU two tensors of one weight's size at a time;
    the fused one has none.
    """
    if training.optimizer != "adamw_torch":
        return 0
    return _FLOAT32 * (elements if training.on_gpu else 2 * min(elements, training.shape.largest))


def _deepspeed(training: Training) -> States:
    shape, each, stage = training.shape, training.bytes_of_dtype, training.zero or 0
    share = {part: training.processes if stage >= part else 1 for part in (1, 2, 3)}
    part = -(-shape.trainable // share[1])
    gathered = 0 if training.processes == 1 or stage < 3 else min(shape.parameters, training.live)
    weights = (each * shape.trainable + (training.frozen.weights if training.frozen else 0)) // share[3]
    master = _FLOAT32 * part if stage or each == 2 else 0
    optimizer = optimizer_bytes(training) // share[1]
    working = master + _working(training, part)  # the gradients of the rank's part, in float32
    away = {"optimizer": master + optimizer + working, "param": weights}
    moved = {name: name in training.offload and stage > 0 for name in away}
    return States(
        weights=(0 if moved["param"] else weights) + each * gathered,
        gradients=each * shape.trainable // share[2],
        master=0 if moved["optimizer"] else master,
        optimizer=0 if moved["optimizer"] else optimizer,
        working=0 if moved["optimizer"] else working,
        host=sum(size for name, size in away.items() if moved[name]),
    )
