"""Tables on the screen, which are not folded where the screen is a file."""

from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from apm_exp.escaped import escaped

_PLAIN_WIDTH = 200  # characters, where nobody has a window


class _Screen(Console):
    """Rich's own ends the process without a word if nobody reads."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what was raised."""
        raise BrokenPipeError


def wide_screen() -> Console:
    """Standard output: as wide as its window, or wide enough."""
    screen = _Screen()
    return screen if screen.is_terminal else _Screen(width=_PLAIN_WIDTH)


def print_table(title: str, table: Table) -> None:
    """Print a table below its title, which is not folded to the table's width."""
    screen = wide_screen()
    screen.print(escaped(title), highlight=False, markup=False, soft_wrap=True)
    screen.print(table)


def print_line(text: str) -> None:
    """Print one line on standard output, whatever is in the text."""
    print(escaped(text))


class _PlainTable(Table):
    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row; texts are shown as they are, without rich's markup or control characters."""
        super().add_row(*(Text(escaped(cell)) if isinstance(cell, str) else cell for cell in cells), **settings)


def plain_table(*columns: str) -> Table:
    """An empty table without lines."""
    table = _PlainTable(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
