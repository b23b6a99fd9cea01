"""Stage: the page of an evaluation of a reward source, one self-contained HTML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact

VERSION = 1


def reward_page(out: Path, *, responses: Artifact, evaluation: Artifact, nodes: Mapping[str, Any]) -> dict[str, int]:
    """Write report.html and return its size in bytes. responses: pairs, or rated. nodes: see write_page."""
    from apm_exp.report.rewards.page import write_page

    return {"bytes": write_page(responses, evaluation, nodes, out / "report.html").stat().st_size}
