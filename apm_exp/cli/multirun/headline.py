"""The value that a job of a multirun returns to Hydra."""

from pathlib import Path


def headline_value(folder: Path, number: int) -> float | None:
    """Return the headline score of a job from its record in the sweep's folder, or None if it has none."""
    from apm_exp.jobs.ledger import record_of
    from apm_exp.report.scores import headline_name

    record = record_of(folder, number)
    scores = record.get("scores")
    return float(scores[headline_name(scores)]["value"]) if record["state"] == "done" and scores else None
