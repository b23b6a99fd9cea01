"""What a run would do: its steps, what is reused, and how much there is of everything. Nothing is built."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from apm_exp import component
from apm_exp.artifact import Step, read_done
from apm_exp.data.count import count_rows
from apm_exp.disk import Disk, disk_line, job_disk
from apm_exp.memory.check import job_training, tell
from apm_exp.memory.device import device_memory
from apm_exp.memory.show import memory_table
from apm_exp.memory.training import Training
from apm_exp.models.pretrained import is_here

Counts = Mapping[str, int | float]
_PLAIN_WIDTH = 200  # characters, where nobody has a window


def print_plan(title: str, steps: Mapping[str, Step], config: Mapping[str, Any]) -> Disk:
    """Print one line a step: reused or to be built, with exact counts where built and upper bounds elsewhere.

    Then the memory of the training, where there is one to be made, and the disk that all will need, which is returned.
    Raises a one-line ValueError, after printing, where the training cannot fit its device.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("step", "state", "counts", "folder"):
        table.add_column(column, overflow="fold")
    known: dict[str, Counts] = {}
    missing: dict[str, Step] = {}
    for name, step in steps.items():
        artifact = read_done(step)
        if artifact is None:
            missing[name] = step
        known[name] = artifact.counts if artifact else upper_bounds(name, known, config)
        sign = "" if artifact else "at most "
        shown = ", ".join(f"{sign}{key} {value:,}" for key, value in known[name].items())
        table.add_row(name, "reuse" if artifact else "build", shown or "unknown", str(step.folder))
    screen = Console()
    screen = screen if screen.is_terminal else Console(width=_PLAIN_WIDTH)
    screen.print(table)
    training = _training(config, steps) if "policy" in missing else None
    if training:
        screen.print(memory_table(training, device_memory(training.device), _scoring_budget(config, training)))
    elif "policy" in missing and config["adapter"]:
        screen.print("memory: not estimated for model.adapter", highlight=False)
    disk = job_disk(config, missing, training, known["policy"].get("steps"))
    screen.print(disk_line(disk, Path(config["output_root"])), highlight=False)
    if training:
        tell(training)
    return disk


def _scoring_budget(config: Mapping[str, Any], training: Training) -> int:
    """The tokens of one scoring forward."""
    from apm_exp.scoring import token_budget

    return token_budget(component.bind("runtime", config["runtime"])(), list(map(sum, training.pairs)))


def _training(config: Mapping[str, Any], steps: Mapping[str, Step]) -> Training | None:
    if not is_here(config["model"]):
        return None  # a plan downloads nothing
    return job_training(config, steps)


def upper_bounds(name: str, known: Mapping[str, Counts], config: Mapping[str, Any]) -> Counts:
    """Upper bounds of a step's counts from the counts of the steps before it and the settings."""
    if name == "generations":
        rows = count_rows(config["dataset"])
        return {} if rows is None else {"rows": rows, "responses": rows * config["generate"]["samples"]}
    if name == "pairs":
        return _pairs(known, config)
    pairs = known.get("pairs", {})
    if name in ("rewards", "logps"):
        return {key: pairs[key] for key in ("pairs",) if key in pairs}
    train = pairs.get("train", pairs.get("pairs"))
    if name == "selection" and train is not None:
        return {"pairs": train, "kept": _kept(config["keep"], int(train))}
    if name == "policy" and "kept" in known.get("selection", {}):
        return _steps(int(known["selection"]["kept"]), config["trainer"])
    return {}


def _pairs(known: Mapping[str, Counts], config: Mapping[str, Any]) -> Counts:
    generated = known.get("generations", {})
    rows = generated.get("pairs", generated.get("rows", count_rows(config["dataset"])))
    return {} if rows is None else {"pairs": rows}


def _kept(keep: Mapping[str, Any], pairs: int) -> int:
    if "fraction" in keep:
        from apm_exp.keep.top_fraction import kept_count

        return kept_count(keep["fraction"], pairs)
    return min(pairs, keep.get("k", pairs))


def _steps(kept: int, trainer: Mapping[str, Any]) -> Counts:
    steps = ceil(kept / trainer["global_batch"]) * trainer["epochs"]
    return {"pairs": kept, "steps": ceil(steps)}
