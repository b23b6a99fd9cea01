"""The W&B workspace of a project or of one sweep."""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.expr as expr
import wandb_workspaces.workspaces as workspaces

from apm_exp.report.tracking.dashboard import panels
from apm_exp.report.tracking.names import EVAL


def workspace(
    entity: str, project: str, group: str | None, swept: Sequence[str], scores: Sequence[str]
) -> workspaces.Workspace:
    """Return an unsaved workspace: sweep curves, parallel coordinates, training curves, the selection.

    group: the sweep whose runs to show; None for all runs. swept: names of settings at the top of a run's
    configuration. scores: names in a run's summary.
    """
    sections = [
        *(_section(f"Results by {name}", panels.curves(name, scores)) for name in panels.SWEPT),
        _section("Settings and results", panels.parallel(swept, scores)),
        _section("Training", panels.training()),
        _section("Selection", panels.selection()),
    ]
    runs = workspaces.RunsetSettings(
        filters=expr.And(expr.Metric("Group") == group) if group else "",
        pinned_columns=[f"config:{name}" for name in swept] + [f"summary:{EVAL}{name}" for name in scores],
    )
    name = f"apm_exp {group}" if group else "apm_exp"
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=sections,
        settings=workspaces.WorkspaceSettings(max_runs=100),
        runset_settings=runs,
    )


def _section(name: str, shown: Sequence[Any]) -> workspaces.Section:
    return workspaces.Section(name=name, panels=list(shown), is_open=True)


def as_json(made: workspaces.Workspace) -> str:
    """Return the JSON that W&B receives when the workspace is saved."""
    return made._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=2)
