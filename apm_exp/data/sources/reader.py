"""The functions of a dataset node: its own, the preparation of pairs, and the reader of a held-out split."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from apm_exp.core import component
from apm_exp.core.component import Function
from apm_exp.core.told import told
from apm_exp.data.sources.drawn import drawn
from apm_exp.data.sources.holdout import share_held_out
from apm_exp.data.sources.prepare import prepare_pairs
from apm_exp.data.sources.rows import SourceRow

Node = Mapping[str, Any]


def companions(node: Node) -> list[Function]:
    """Return the functions whose settings are in a dataset node besides those of its own."""
    split_reader = _split_reader(node)
    return [prepare_pairs, drawn, share_held_out, *([split_reader] if split_reader else [])]


def reader(node: Node) -> partial[Iterator[SourceRow]]:
    """Return the function that reads the rows of a dataset node. Raises ValueError as `component.bind`."""
    return component.bind("dataset", node, also=companions(node))


def held_out_rows(node: Node) -> Iterator[SourceRow]:
    """Yield the rows of the split that a dataset node holds out; none if it names no split."""
    split_reader = _split_reader(node)
    rows: Iterator[SourceRow] = split_reader(**component.settings_of(split_reader, node)) if split_reader else iter(())
    return rows


def _split_reader(node: Node) -> Function | None:
    """Return the function `held_out_rows` of the dataset's module, if it can read a second split."""
    return told("dataset", node, "held_out_rows")
