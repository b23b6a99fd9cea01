"""What can be known to be wrong with the steps to come, from those that are there."""

from collections.abc import Mapping

from apm_exp.core.artifact import Artifact
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step


def foresee(steps: Mapping[str, Step], built: Mapping[str, Artifact]) -> None:
    """Let the stage of every step that is not built yet look at what is. built: by key. Raises what they raise."""
    for step in steps.values():
        if step.key not in built:
            STAGES[step.kind].foresee(step.inputs, built)
