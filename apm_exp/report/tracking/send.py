"""Files that are sent to W&B: the selection, a sample of its pairs as a table, and the report."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core.files import write_text
from apm_exp.report.redact import local_folders, without_folders
from apm_exp.report.tracking.copies import copies_in
from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.names import SAMPLE
from apm_exp.report.tracking.sample import MOST_PAIRS, sample_of_pairs

logger = logging.getLogger(__name__)
MEGABYTE = 1_000_000


def send(run: Any, job: TrackedJob, selections: Sequence[Path], report: Path | None, megabytes: float) -> None:
    """Log the table `selection/sample` and the artifacts `selection-<step>` and `report-<step>` of a W&B run.

    selections, report: the steps' folders; several selections share the rows of the sample. W&B references the files
    without copying them, as finished steps do not change. The report contains folders of this machine, so a copy
    without them is sent. A file larger than `megabytes` is not sent, which is logged.
    """
    import wandb

    tables = [selection / "selection.parquet" for selection in selections]
    sample = pa.concat_tables([sample_of_pairs(table, MOST_PAIRS // len(tables)) for table in tables])
    shown = wandb.Table(columns=sample.column_names, data=[list(row.values()) for row in sample.to_pylist()])
    with copies_in(job.folder / "wandb" / "copies"):
        run.log({SAMPLE: shown})
    for table in tables:
        _artifact(run, "selection", table.parent.name, table, megabytes)
    if report is None:
        return
    page = job.folder / "report_sent.html"
    folders = local_folders(job.config, job.command)
    write_text(without_folders((report / "report.html").read_text("utf-8"), folders), page)
    _artifact(run, "report", report.name, page, megabytes)


def _artifact(run: Any, kind: str, name: str, path: Path, megabytes: float) -> None:
    import wandb

    size = path.stat().st_size / MEGABYTE
    if size > megabytes:
        text = "W&B: the %s (%.0f MB) is not sent; tracking.artifact_megabytes=%g is the limit"
        logger.info(text, kind, size, megabytes)
        return
    artifact = wandb.Artifact(f"{kind}-{name}", type=kind)
    artifact.add_file(str(path), name=f"{kind}{path.suffix}", policy="immutable", skip_cache=True)
    run.log_artifact(artifact)
