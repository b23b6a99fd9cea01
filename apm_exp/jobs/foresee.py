"""Checks of the steps that are not built yet, against the artifacts of those that are, and the bounds of all."""

from collections.abc import Mapping

from apm_exp.core.artifact import Artifact
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step, earlier_steps
from apm_exp.pipeline.work import Counts
from apm_exp.selection.keep.preflight import check_keep, goes_by_ids


def foresee(steps: Mapping[str, Step], built: Mapping[str, Artifact], new: Step | None = None) -> None:
    """Let the stages of the steps that are not built yet look at what is, and raise what they raise.

    built: by key. new: the step that was just built; only the stages of steps that use it are asked.
    """
    for step in steps.values():
        if step.key not in built and (new is None or new in earlier_steps(step)):
            STAGES[step.kind].foresee(step.inputs, built)


def check_bounds(steps: Mapping[str, Step]) -> None:
    """Raise ValueError if a keep rule keeps none of the most pairs that its step can have, as far as that is known."""
    known: dict[str, Counts] = {}  # by key
    for step in steps.values():
        known[step.key] = STAGES[step.kind].bounds(step.inputs, known)
        if step.kind == "selection" and "pairs" in known[step.key] and not goes_by_ids(step.inputs["keep"]):
            check_keep(step.inputs["keep"], int(known[step.key]["pairs"]))
