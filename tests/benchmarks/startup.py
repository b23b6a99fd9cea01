"""How long the command line takes to answer: `python -m tests.benchmarks.startup` prints a table and writes JSON.

Each command runs as a process of its own, in turn, after one warm-up; medians of `RUNS`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 7
COMMANDS = {"--help": ["--help"], "--cfg job": ["--cfg", "job"]}
LIMIT_SECONDS = 0.5


def seconds(arguments: list[str], folder: Path) -> float:
    """Wall seconds of `python -m apm_exp <arguments>` in an empty folder."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "apm_exp", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print and write startup.json into the current folder."""
    measured: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(RUNS + 1):
            for name, arguments in COMMANDS.items():
                taken = seconds(arguments, Path(folder))
                if run > 0:
                    measured[name].append(taken)
    for name, values in measured.items():
        median = statistics.median(values)
        within = "within" if median <= LIMIT_SECONDS else "over"
        spread = f"{min(values):.2f} to {max(values):.2f} s"
        print(f"{name:<12} median {median:.2f} s, {spread} ({within} {LIMIT_SECONDS} s)")
    Path("startup.json").write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
