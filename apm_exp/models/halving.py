"""Forwards over batches of items, with a batch size that is reduced when memory runs out."""

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_halving(
    run: Callable[[list[Item]], Result],
    batches: Iterable[Sequence[Item]],
    cost: Callable[[Item], int],
    budget: int,
    setting: str,
    too_large: Callable[[Item], str],
) -> Iterator[tuple[list[Item], Result]]:
    """Yield each batch with the result of `run`, batch after batch.

    No batch costs more than `budget`, the value of `setting`: a more expensive one is split. When memory runs out, the
    budget is halved, with a warning. Raises ValueError, with the text that `too_large` returns for the item, if memory
    is not sufficient for a single item.
    """
    for whole in batches:
        waiting = deque([whole])
        while waiting:
            batch, *others = fill(waiting.popleft(), cost, budget)
            waiting.extendleft(reversed(others))
            if (result := _unless_out_of_memory(run, batch)) is not None:
                yield batch, result
                continue
            free_memory()
            if len(batch) == 1:
                raise ValueError(too_large(batch[0]))
            logger.warning("out of memory: %s is now %d instead of %d", setting, budget // 2, budget)
            budget //= 2
            waiting.appendleft(batch)


def fill(items: Iterable[Item], cost: Callable[[Item], int], budget: int) -> list[list[Item]]:
    """Return the items in order, in batches that cost at most `budget`; an item that alone costs more is a batch."""
    batches: list[list[Item]] = []
    room = 0
    for item in items:
        if not batches or cost(item) > room:
            batches.append([])
            room = budget
        batches[-1].append(item)
        room -= cost(item)
    return batches


def out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that the device or the machine has no memory left."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    texts = ("out of memory", "can't allocate memory")
    spoken = isinstance(error, RuntimeError) and any(text in str(error).lower() for text in texts)
    return isinstance(error, kinds) or spoken


def free_memory() -> None:
    """Release unused memory to the device after memory ran out."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _unless_out_of_memory(run: Callable[[list[Item]], Result], batch: list[Item]) -> Result | None:
    """Return the result, or None if memory ran out; no traceback then keeps the tensors of the attempt alive."""
    try:
        return run(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    return None
