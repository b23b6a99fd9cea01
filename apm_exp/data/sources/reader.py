"""What a dataset node binds: its own function, the preparation of pairs, and the reader of a held-out split."""

import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from apm_exp.core import component
from apm_exp.core.component import Function
from apm_exp.data.sources.prepare import prepare_pairs
from apm_exp.data.sources.rows import SourceRow

Node = Mapping[str, Any]


def companions(node: Node) -> list[Function]:
    """The functions whose settings stand in a dataset node beside its own."""
    split_reader = _split_reader(node)
    return [prepare_pairs, split_reader] if split_reader else [prepare_pairs]


def reader(node: Node) -> partial[Iterator[SourceRow]]:
    """The function that reads the rows of a dataset node. Raises ValueError as `component.bind`."""
    return component.bind("dataset", node, also=companions(node))


def held_out_rows(node: Node) -> Iterator[SourceRow]:
    """The rows of the split that a dataset node holds out; none where it names none."""
    split_reader = _split_reader(node)
    rows: Iterator[SourceRow] = split_reader(**component.settings_of(split_reader, node)) if split_reader else iter(())
    return rows


def _split_reader(node: Node) -> Function | None:
    """The function `held_out_rows` of the dataset's own file, where it can read a second split."""
    return getattr(inspect.getmodule(component.locate("dataset", node)), "held_out_rows", None)
