"""Whether a training fits its device, and the smallest change with which it does."""

from collections.abc import Iterator
from dataclasses import replace

from apm_exp.core.console import shown
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.training import Training

_MOST_PROCESSES = 1024


def problem(training: Training, available: int | None, machine: int | None, share: float = 1.0) -> str | None:
    """Return one line with the smallest change that fits if `share` of the estimate does not fit; else None.

    available: bytes of the device; the ranks of a CPU share them. machine: bytes for what DeepSpeed offloads. Where
    one of them is None, nothing is known of it.
    """
    if available is None or fits(training, available, machine, share):
        return None
    found = next((text for text, changed in changes(training) if fits(changed, available, machine)), None)
    remedy = f"the smallest change that fits: {found}" if found else "no smaller batch or more processes would fit"
    one, ranks = estimate(training), training.processes
    states = one.states.weights + one.states.gradients + one.states.master + one.states.optimizer
    return (
        f"runtime.pairs_per_device={training.pairs_per_device}: the training needs about {shown(one.needed)}"
        f"{f' in each of {ranks} processes' if ranks > 1 else ''}, {shown(states)} of them for weights, gradients and "
        f"optimizer; the {'GPU' if training.on_gpu else 'machine'} has {shown(available)}; {remedy}"
    )


def fits(training: Training, available: int, machine: int | None, share: float = 1.0) -> bool:
    """Return whether a share of the estimate is within the memory."""
    one, ranks = estimate(training), training.on_each_node
    offloaded = share * one.states.host * ranks
    if training.on_gpu:
        return share * one.needed <= available and (machine is None or offloaded <= machine)
    return share * one.needed * ranks + offloaded <= available


def changes(training: Training) -> Iterator[tuple[str, Training]]:
    """Return settings that could be typed instead, the smallest change first."""
    smaller = [("", training), *_smaller(training)]
    for text, changed in smaller:
        for also, checkpointed in _checkpointed(changed):
            if words := " ".join(part for part in (also, text) if part):
                yield words, checkpointed
    if not training.on_gpu:
        return
    for processes in _processes(training):
        for stage in (2, 3):
            if processes == training.processes and (training.zero or 0) >= stage:
                continue
            divided = replace(training, zero=stage, processes=processes)
            words = f"deepspeed=zero{stage}" + (
                f" runtime.processes={divided.on_each_node}" if processes > training.processes else ""
            )
            yield words, divided
            yield f"{words} trainer.gradient_checkpointing=true", replace(divided, checkpointing=True)


def _smaller(training: Training) -> Iterator[tuple[str, Training]]:
    pairs = len(training.forward)
    while pairs > 1 and pairs % 2 == 0:
        pairs //= 2
        yield f"runtime.pairs_per_device={pairs}", replace(training, pairs_per_device=pairs)


def _checkpointed(training: Training) -> Iterator[tuple[str, Training]]:
    yield "", training
    if not training.checkpointing:
        yield "trainer.gradient_checkpointing=true", replace(training, checkpointing=True)


def _processes(training: Training) -> Iterator[int]:
    """Return the number and its doubles, as long as they divide the global batch."""
    processes = training.processes
    while processes <= _MOST_PROCESSES and training.global_batch % (processes * len(training.forward)) == 0:
        yield processes
        processes *= 2
