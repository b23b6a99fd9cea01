"""Tables on the screen, which are not folded where the screen is a file."""

from rich.console import Console
from rich.table import Table

_PLAIN_WIDTH = 200  # characters, where nobody has a window


def wide_screen() -> Console:
    """Standard output: as wide as its window, or wide enough."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=_PLAIN_WIDTH)


def print_table(title: str, table: Table) -> None:
    """Print a table below its title, which is not folded to the table's width."""
    screen = wide_screen()
    screen.print(title, highlight=False, markup=False, soft_wrap=True)
    screen.print(table)


def plain_table(*columns: str) -> Table:
    """An empty table without lines."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
