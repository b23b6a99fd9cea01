"""The memory of the training that would run, and of the scoring before it, as a plan prints them."""

from collections.abc import Iterator

from rich.table import Table

from apm_exp.core.console import shown
from apm_exp.jobs.plan.memory.activations import tokens_of
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.scoring import scoring_bytes
from apm_exp.jobs.plan.memory.training import Training


def memory_table(training: Training, available: int | None, tokens_per_batch: int) -> Table:
    """One row for what takes memory in each rank, the peak, and what the device has."""
    table = Table(title=f"memory, {_setting(training)}", title_justify="left", box=None, pad_edge=False)
    for column in ("of each rank", "size", "what"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for row in _rows(training):
        table.add_row(*row)
    scoring = scoring_bytes(training, tokens_per_batch)
    table.add_row("scoring", shown(scoring), f"before the training, {tokens_per_batch:,} tokens at a time")
    has = "unknown" if available is None else shown(available)
    device = "of one GPU" if training.on_gpu else f"available now, for {training.on_each_node} of these processes"
    table.add_row(training.device, has, device)
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
        yield "optimizer's step", shown(states.working), "laid out while weights change, when the activations are gone"
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
