"""The memory of the training that would run, and of the scoring before it, as a plan prints them."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from apm_exp.core.console import shown
from apm_exp.jobs.plan.memory.activations import tokens_of
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.stages import Row
from apm_exp.jobs.plan.memory.training import Training


def memory_table(training: Training | None, rows: Sequence[Row], device: str, available: int | None) -> Table:
    """Return the memory table: rows of the training of each rank, its peak, the other steps, and the device.

    training: None if none is to be made, or nothing is known of it. rows: of the other steps.
    """
    title = f"memory, {_setting(training)}" if training else "memory"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("of each rank" if training else "of each process", "size", "what"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for row in _rows(training) if training else ():
        table.add_row(*row)
    for name, size, words in rows:
        beyond = "; MORE than the device has" if available is not None and size > available else ""
        table.add_row(name, shown(size), f"{words}{beyond}")
    has = "unknown" if available is None else shown(available)
    processes = training.on_each_node if training else 1
    words = "of one GPU" if device.startswith("cuda") else f"available now, for {processes} of these processes"
    table.add_row(device, has, words)
    return table


def _rows(training: Training) -> Iterator[tuple[str, str, str]]:
    one, shape = estimate(training), training.shape
    states = one.states
    kept_in = "float32" if training.zero is None else training.dtype
    trained = f"{shape.parameters:,} parameters, {shape.trainable:,} of them trained, kept in {kept_in}"
    if training.frozen:
        frozen = shown(training.frozen.weights)
        trained = f"{shape.parameters:,} parameters, frozen ({frozen}); {shape.trainable:,} beside them, in {kept_in}"
    yield "weights", shown(states.weights), trained
    yield "gradients", shown(states.gradients), f"in {kept_in}"
    yield "optimizer", shown(states.optimizer), training.optimizer
    yield "master weights", shown(states.master), "float32, DeepSpeed's" if states.master else "none"
    if states.host:
        yield "offloaded", shown(states.host), "in the machine's memory"
    yield "activations", shown(one.activations), _forward(training)
    yield "output head", shown(one.head), f"vocabulary of {shape.vocabulary:,}"
    if states.working:
        yield "optimizer step", shown(states.working), "laid out while weights change, when the activations are gone"
    if one.holes:
        yield "holes", shown(one.holes), "freed by the C library in pieces too small to be used again"
    yield "peak", shown(one.total), "of a step; not all of the rows above are there at once"
    yield "with libraries", shown(one.needed), "what is compared with the device"


def _setting(training: Training) -> str:
    zero = "deepspeed=none" if training.zero is None else f"ZeRO stage {training.zero}"
    ranks = f"{training.processes} process{'es' if training.processes > 1 else ''}"
    return (
        f"{zero}, {ranks}, model.dtype={training.dtype}, gradient_checkpointing={str(training.checkpointing).lower()}"
    )


def _forward(training: Training) -> str:
    count, tokens = len(training.forward), tokens_of(training)
    known = "at most, from the settings" if training.bound else "the longest there are"
    return f"of {count} pair{'s' if count > 1 else ''} with {tokens:,} tokens, {known}"
