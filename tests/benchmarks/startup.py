"""How long the command line takes around the work: `python -m tests.benchmarks.startup [runs]` (default 7).

Prints a table and writes startup.json: `--help` and `--cfg job` beside Hydra's import alone, in turn, each in a
process of its own after one warm-up; a finished run typed again; and what a further job of a multirun takes beyond
its own steps, where they are new and where they are all reused. The runs are of a small micro world in a temporary
folder.
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.table import Bar, Row, print_bars, print_table, write_json
from tests.command import SMALL, command

HYDRA = "Hydra's import alone"
FINISHED, NEW, REUSED = "finished run again", "further job, new steps", "further job, all reused"
ANSWERS = {
    "--help": command("--help"),
    "--cfg job": command("--cfg", "job"),
    HYDRA: [sys.executable, "-c", "import hydra, hydra.main"],
}
LIMITS = {"--help": 0.5, "--cfg job": 0.5, FINISHED: 3.0, NEW: 1.0, REUSED: 1.0}  # seconds
_STEP = re.compile(r"\w+ +[\d.]+ s  (\S+)  ")  # a line on a step that was built, with its folder

Samples = dict[str, list[float]]


def environment() -> dict[str, str]:
    """Offline, and with compiled modules kept, as they are for a user."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}


def run(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Wall seconds of a command, and the processor seconds of its process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(arguments, cwd=folder, env=environment(), check=True, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def answers(runs: int, folder: Path) -> tuple[Samples, Samples]:
    """Wall and processor seconds of the commands that answer at once."""
    wall: Samples = {name: [] for name in ANSWERS}
    processor: Samples = {name: [] for name in ANSWERS}
    for turn in range(runs + 1):
        for name, arguments in ANSWERS.items():
            taken = run(arguments, folder)
            if turn > 0:
                wall[name].append(taken[0])
                processor[name].append(taken[1])
    return wall, processor


def finished(runs: int, folder: Path) -> list[float]:
    """Wall seconds of a run of which every step is there."""
    return [run(command(*SMALL), folder)[0] for _ in range(runs + 1)][1:]


def further_jobs(jobs: int, folder: Path) -> list[float]:
    """Of each job after the first: the seconds since the job before it ended, less those inside its steps."""
    alphas = ",".join(f"{number + 1}.125" for number in range(jobs))
    arguments = command("-m", *SMALL, "tracking=none", f"alpha={alphas}")
    ended, inside, taken = 0.0, 0.0, []
    with subprocess.Popen(arguments, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if match := _STEP.match(line):
                inside += json.loads((folder / match[1] / "done").read_text())["seconds"]
            elif "interval" in line and "| report:" in line:
                now = time.perf_counter()
                taken.append(now - ended - inside)
                ended, inside = now, 0.0
    assert process.returncode == 0, process.returncode
    assert len(taken) == jobs, taken
    return taken[1:]


def main() -> None:
    """Measure, print and write."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wall, processor = answers(runs, folder)
        wall[FINISHED] = finished(runs, folder)
        wall[NEW] = further_jobs(runs + 1, folder)
        wall[REUSED] = further_jobs(runs + 1, folder)
    rows: list[Row] = []
    for name, values in wall.items():
        median = statistics.median(values)
        row = {"seconds": median, "least": min(values), "most": max(values)}
        row["times Hydra's import"] = median / statistics.median(wall[HYDRA])
        used = statistics.median(processor[name]) if name in processor else None
        rows.append({"what": name, **row, "processor seconds": used})
    bars = [Bar(f"{name}, seconds", statistics.median(wall[name]), limit, False) for name, limit in LIMITS.items()]
    print_table(f"Start-up and reuse, medians of {runs}, wall seconds", rows)
    print_bars(bars)
    write_json("startup", {"runs": runs, "samples": wall, "processor": processor}, {"startup": rows}, bars)


if __name__ == "__main__":
    main()
