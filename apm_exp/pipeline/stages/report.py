"""Stage: the report on a run, one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact

VERSION = 11


def report(
    out: Path,
    *,
    config: dict[str, Any],
    how: dict[str, Any],
    command: str,
    export: str,
    steps: Mapping[str, Artifact],
    shown: Mapping[str, Artifact],
    compare: dict[str, dict[str, Any]],
    provenance: dict[str, Any],
    titles: dict[str, str],
    metric_option: str,
    reused: Sequence[str],
) -> dict[str, int]:
    """Write report.html on a finished run, and return its number of figures and its size in bytes.

    steps: the artifacts of the run by the names of its steps, in order. shown: the selection that the page shows in
    detail, the pairs, logps and rewards that it was made from, the rewards of the sampled responses that the pairs were
    made of, if they were, and the policy, if the run has trained one. how: the
    settings that do not change results (runtime, tracking, ...), which are shown too. titles: the titles of the stages,
    by kind. export: the command that writes the kept pairs with their texts. metric_option: the chosen option of
    metric=. reused: the names of the steps that the run has not built.
    """
    from apm_exp.report.run.page import Run, write_page

    page = write_page(
        Run(config | how, command, export, steps, shown, compare, provenance, titles, metric_option, reused),
        out / "report.html",
    )
    text = page.read_text(encoding="utf-8")
    return {"figures": text.count("<figure>"), "bytes": page.stat().st_size}
