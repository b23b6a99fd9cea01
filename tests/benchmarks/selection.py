"""A keep rule on many scored rows: `python -m tests.benchmarks.selection` prints a table and writes selection.json.

Scored rows (Parquet, row groups of 1,048,576, columns of `metric=map`) are made in a temporary folder (TMPDIR; about
130 bytes a row with the result). Then `keep_rows` runs in a process of its own on two cores: wall seconds, and peak
resident memory with the interpreter's and the libraries'. The file was just written, so it may be in the page cache.
At sizes up to LARGEST_CHECKED the kept pairs are compared with those that sorting everything in memory gives.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.sorted_parquet import ROWS_AT_ONCE, write_tables
from apm_exp.selection.apply_keep_rule import keep_rows

LIMIT_SECONDS, LIMIT_MIB = 60.0, 2048.0  # of 100 million rows
CORES = 2
SMALL_SIZES, SMALL_RUNS, LARGE_RUNS = (1_000_000, 10_000_000), 5, 3
LARGEST_CHECKED = 10_000_000
KEEP = {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 0.4}
VALUES = {"normal": None, "rounded to 0.5": 2, "all equal": 0}  # steps in a unit; few steps mean many ties


def scored_tables(rows: int, steps: int | None) -> Iterator[pa.Table]:
    """Rows with ascending ids of 19 digits, margins from a normal distribution, and the terms of `map` at alpha 1."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, rows - start)
        gap = 9 * 10**18 // (2 * rows)
        number = 10**18 + (start + np.arange(count)) * gap + rng.integers(0, gap, count)
        explicit, implicit = rng.normal(size=count), rng.normal(size=count)
        value = np.abs(explicit) - np.abs(implicit)
        columns = {
            "pair_id": pa.array(number).cast(pa.string()),
            "explicit_margin": explicit,
            "implicit_margin": implicit,
            "explicit_term": np.abs(explicit),
            "implicit_term": np.abs(implicit),
            "value": value if steps is None else np.round(value * steps) / max(1, steps),
        }
        yield pa.table(columns)


def measure(scored: Path) -> dict[str, float]:
    """Seconds and peak MiB of one keep, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.selection", "--measure", str(scored)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measured(scored: Path) -> dict[str, float]:
    """What `measure` starts. VmHWM is this process's own peak; ru_maxrss would count the parent's too."""
    started, cpu_started = time.perf_counter(), time.process_time()
    keep_rows(scored, scored.with_name("selection.parquet"), KEEP)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    (peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": int(peak) / 1024}


def equals_in_memory(folder: Path) -> bool:
    """Whether the pairs kept are those of a sort of all by falling value and rising pair_id."""
    table = pq.read_table(folder / "selection.parquet", columns=["pair_id", "value", "kept"])
    names = table["pair_id"].to_numpy().astype("S19")
    count = int(KEEP["fraction"] * 10) * len(table) // 10  # type: ignore[operator]
    expected = np.zeros(len(table), bool)
    expected[np.lexsort((names, -table["value"].to_numpy()))[:count]] = True
    return bool((table["kept"].to_numpy() == expected).all())


def benchmark(rows: int, values: str, runs: int) -> dict[str, Any]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as name:
        scored = Path(name) / "scored.parquet"
        write_tables(scored_tables(rows, VALUES[values]), scored)
        found = [measure(scored) for _ in range(runs)]
        same = equals_in_memory(Path(name)) if rows <= LARGEST_CHECKED else None
        sizes = {path.stem: path.stat().st_size for path in Path(name).iterdir()}
    seconds = [run["seconds"] for run in found]
    peak = max(run["peak_mib"] for run in found)
    within = statistics.median(seconds) <= LIMIT_SECONDS and peak <= LIMIT_MIB
    cpu_seconds = [run["cpu_seconds"] for run in found]
    line = {"rows": rows, "values": values, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}
    line["bytes"] = sizes
    return line | {"equals_in_memory": same, "within_limits": within}


def main() -> None:
    """Measure, print and write selection.json into the current folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000, help="the largest size")
    parser.add_argument("--runs", type=int, default=LARGE_RUNS, help="runs at the largest size")
    parser.add_argument("--values", nargs="*", default=list(VALUES), choices=VALUES, help="kinds at the largest size")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.measure)))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    small = [(rows, "rounded to 0.5", SMALL_RUNS) for rows in SMALL_SIZES if rows < options.rows]
    lines = []
    for arguments in [*small, *((options.rows, values, options.runs) for values in options.values)]:
        line = benchmark(*arguments)
        lines.append(line)
        print(_words(line), flush=True)
    Path("selection.json").write_text(json.dumps({"cores": CORES, "measured": lines}, indent=2) + "\n")


def _words(line: dict[str, Any]) -> str:
    seconds, processor = line["seconds"], statistics.median(line["cpu_seconds"])
    same = {None: "not compared", True: "the same pairs as in memory", False: "NOT the pairs of in memory"}
    spread = f"{min(seconds):.1f} to {max(seconds):.1f}, {len(seconds)} runs, {processor:.1f} processor seconds"
    within = "within" if line["within_limits"] else "over"
    limits = f"{within} {LIMIT_SECONDS:g} s and {LIMIT_MIB:g} MiB"
    name = f"{line['rows']:>11,} rows, {line['values']:<14} median {statistics.median(seconds):.1f} s ({spread})"
    return f"{name}, peak {line['peak_mib']:.0f} MiB, {limits}; {same[line['equals_in_memory']]}"


if __name__ == "__main__":
    main()
