"""The progress of a run's running step, from the run's record and the step's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.step_names import iteration_of, kind_of, place_of
from apm_exp.pipeline.stage_table import STAGES

_BEGUN = ("running", "interrupted")


def progress(record: Mapping[str, Any], root: Path) -> str:
    """Return the running step of a run and its progress in words; "" if no step is running. root: its output_root.

    For a killed or interrupted run it is the step that was running, with the work that the next attempt resumes from.
    """
    steps: Mapping[str, Mapping[str, Any]] = record.get("steps") or {}
    running = next((name for name, step in steps.items() if step.get("state") in _BEGUN), None)
    if running is None:
        return ""
    iterations = {iteration for name in steps if (iteration := iteration_of(name)) is not None}
    return _where(running, iterations) + _how_far(running, steps[running], root)


def _where(name: str, iterations: set[int]) -> str:
    """Return the name of a step in words: its iteration, its kind, and the rest of its place in brackets."""
    iteration = iteration_of(name)
    if iteration is None or len(iterations) < 2:
        return name
    part = place_of(name).partition("-")[2]
    return f"iteration {iteration} of {max(iterations)}, {kind_of(name)}" + (f" ({part})" if part else "")


def _how_far(name: str, step: Mapping[str, Any], root: Path) -> str:
    stage = STAGES.get(kind_of(name))
    if stage is None or stage.progress is None:
        return ""
    unit = stage.grows_with[0]
    done, most = stage.progress(root / step["folder"]), step.get("bounds", {}).get(unit)
    return f": {done:,} {unit}" if most is None else f": {done:,} of {most:,}"
