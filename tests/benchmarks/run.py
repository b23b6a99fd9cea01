"""One benchmark from its options to its table, its bars and its file."""

import argparse
import sys
from collections.abc import Callable, Mapping

from apm_exp.core.types import TokenizedPair
from tests.benchmarks.contenders import Contender, comparisons
from tests.benchmarks.options import parse
from tests.benchmarks.table import Bar, Row, print_bars, print_table, write_json
from tests.benchmarks.workload import describe, read_pairs

Tables = Mapping[str, Mapping[str, Row]]  # by title, by contender
Compare = Callable[[argparse.Namespace, list[TokenizedPair], list[Contender]], dict[str, Row]]


def run(
    name: str, description: str, compare: Compare, bars_of: Callable[[argparse.Namespace, Tables], list[Bar]]
) -> None:
    """Measure, print and write <name>.json into the current folder; end with one line where the options are wrong."""
    try:
        options, compared = _prepare(description)
    except ValueError as error:
        sys.exit(str(error))
    tables = {}
    for title, (pairs, contenders) in compared.items():
        tables[title] = compare(options, pairs, contenders)
        print_table(title, list(tables[title].values()))
    bars = bars_of(options, tables)
    print_bars(bars)
    write_json(name, vars(options), {title: list(rows.values()) for title, rows in tables.items()}, bars)


def _prepare(
    description: str,
) -> tuple[argparse.Namespace, dict[str, tuple[list[TokenizedPair], list[Contender]]]]:
    options = parse(description)
    pairs = read_pairs(options.pairs)
    print(f"The file: {describe(pairs)}", flush=True)
    return options, comparisons(options, pairs)
