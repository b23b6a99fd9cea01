"""What the benchmarks print and write: a table of methods, bars, and the setting."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.alternating import Timing

Row = dict[str, Any]  # a number or a text in each column, None where there is none


@dataclass(frozen=True)
class Bar:
    """A result and the limit that it is to keep: at least the limit, or at most."""

    what: str
    value: float
    limit: float
    at_least: bool

    @property
    def verdict(self) -> str:
        """within or missed."""
        return "within" if (self.value >= self.limit if self.at_least else self.value <= self.limit) else "missed"


def time_row(name: str, timing: Timing, ours: Timing, flops: int, tokens: int) -> Row:
    """What was timed of one method. tokens: with each prompt once, for every method; so are the operations."""
    median, ratios = statistics.median(timing.seconds), timing.ratios(ours)
    return {
        "method": name,
        "seconds": median,
        "least": min(timing.seconds),
        "most": max(timing.seconds),
        "tokens/s": tokens / median,
        "times ours": statistics.median(ratios),
        "least times": min(ratios),
        "most times": max(ratios),
        "share of peak": timing.share_of_peak(flops),
        "of sustained": timing.share_of_sustained(flops),
        "peak GFLOP/s": max(timing.peaks) / 1e9,
    }


def print_table(title: str, rows: Sequence[Row]) -> None:
    """A title and the rows below the names of their columns."""
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    print(title)
    for first, *rest in cells:
        right = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *right]))
    print(flush=True)


def print_bars(bars: Sequence[Bar]) -> None:
    """One line a bar: the result, its limit, and whether it is kept."""
    for bar in bars:
        limit = f"at {'least' if bar.at_least else 'most'} {_text(bar.limit)}"
        print(f"{bar.what:<72} {_text(bar.value):>9}  {limit:<14}  {bar.verdict}")


def write_json(name: str, setting: Mapping[str, Any], tables: Mapping[str, Sequence[Row]], bars: Sequence[Bar]) -> None:
    """Everything that was printed, into <name>.json in the current folder."""
    verdicts = [{**asdict(bar), "verdict": bar.verdict} for bar in bars]
    written = {"setting": {**machine(), **setting}, "tables": tables, "bars": verdicts}
    Path(f"{name}.json").write_text(json.dumps(written, indent=2, default=str) + "\n")


def machine() -> dict[str, Any]:
    """The date, the versions, and what it ran on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "transformers", "trl")},
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def _text(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0 or 1e-2 <= abs(value) < 100:
        return f"{value:.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1e}"
