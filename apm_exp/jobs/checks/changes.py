"""Check the settings of iterations that have other ones than the run."""

from collections.abc import Mapping
from typing import Any

from apm_exp.jobs.checks.settings import check_config
from apm_exp.pipeline.changes import changed_configs


def check_changes(config: Mapping[str, Any]) -> None:
    """Check the settings of iterations that have other ones (pipeline.changes) as those of the run."""
    for iteration, changed in changed_configs(config).items():
        try:
            check_config(changed)
        except ValueError as error:
            raise ValueError(f"pipeline.changes: iteration {iteration}: {error}") from error
