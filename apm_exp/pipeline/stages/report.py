"""Stage: the report on a run, one self-contained page."""

from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact

VERSION = 4


def report(
    out: Path,
    *,
    config: dict[str, Any],
    how: dict[str, Any],
    command: str,
    models: Artifact | None,
    generations: Artifact | None,
    pairs: Artifact,
    rewards: Artifact | None,
    logps: Artifact,
    selection: Artifact,
    policy: Artifact | None,
    evaluations: dict[str, Artifact],
    compare: dict[str, dict[str, Any]],
    provenance: dict[str, Any],
) -> dict[str, int]:
    """Write `out`/report.html on a finished run; returns its number of figures and its size in bytes.

    policy: None where the run was to stop at its selection.
    how: the settings by which it was run (runtime, tracking, ...), shown beside those that made the result.
    """
    from apm_exp.report.run.page import Run, write_page

    artifacts = {"models": models, "generations": generations, "pairs": pairs, "rewards": rewards, "logps": logps}
    artifacts |= {"selection": selection, "policy": policy}
    present = {name: artifact for name, artifact in artifacts.items() if artifact is not None}
    page = write_page(Run(config | how, command, present, evaluations, compare, provenance), out / "report.html")
    text = page.read_text(encoding="utf-8")
    return {"figures": text.count("<figure>"), "bytes": page.stat().st_size}
