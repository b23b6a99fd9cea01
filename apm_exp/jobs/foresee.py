"""Checks of the steps that are not built yet, against the artifacts of those that are."""

from collections.abc import Mapping

from apm_exp.core.artifact import Artifact
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step, earlier_steps


def foresee(steps: Mapping[str, Step], built: Mapping[str, Artifact], new: Step | None = None) -> None:
    """Let the stages of the steps that are not built yet look at what is, and raise what they raise.

    built: by key. new: the step that was just built; only the stages of steps that use it are asked.
    """
    for step in steps.values():
        if step.key not in built and (new is None or new in earlier_steps(step)):
            STAGES[step.kind].foresee(step.inputs, built)
