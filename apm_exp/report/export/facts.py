"""What a card says of a run's selection, as text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core.sorted_parquet import read_column
from apm_exp.report.export.finished_run import FinishedRun, StepRecord
from apm_exp.report.export.kept_pairs import MARGINS
from apm_exp.report.export.sources import described
from apm_exp.report.run.refusals import refusals
from apm_exp.selection.metrics.rescale import population_std

_PACKAGES = ("apm-exp", "torch", "transformers", "trl", "datasets")


def selection_facts(run: FinishedRun) -> dict[str, str]:
    """The metric, the rule, how many were kept, and how far that is noise."""
    counts, metric = run.steps["selection"].counts, run.config["metric"]
    kept, pairs = int(counts["kept"]), int(counts["pairs"])
    facts = {"metric": described(metric)}
    if "alpha" in metric:
        found = counts.get("alpha", metric["alpha"])
        facts["alpha"] = f"{found}" if found == metric["alpha"] else f"{found:.6g} (asked for: {metric['alpha']})"
    facts |= {f"standard deviation of the {name} margin's size": text for name, text in _sigmas(run).items()}
    facts["rule"] = described(run.config["keep"])
    facts["kept"] = f"{kept:,} of {pairs:,} pairs ({100 * kept / pairs:.1f}%)"
    if "within_noise" in counts:
        facts["within noise"] = f"rounding of the log-probs could replace at most {counts['within_noise']:,} kept pairs"
    return facts


def _sigmas(run: FinishedRun) -> dict[str, str]:
    """The sigmas of the alignment potential: of the absolute margins, over all pairs that were ranked."""
    units, sigmas = {"explicit": "reward units", "implicit": "nats a token"}, {}
    for column in MARGINS:
        margin_P = read_column(run.steps["selection"].path / "selection.parquet", column)
        name = column.removesuffix("_margin")
        if not np.isnan(margin_P).all():
            sigmas[name] = f"{population_std(np.abs(margin_P)):.6g} {units[name]}"
    return sigmas


def refused(run: FinishedRun) -> list[tuple[str, str, int]]:
    """(step, reason, how many) of what was refused on the way; (step, "", 0) where a step refused nothing."""
    steps = {"generations": "sampling", "pairs": "reading", "logps": "tokens"}
    rows: list[tuple[str, str, int]] = []
    for step, name in steps.items():
        if step in run.steps:
            reasons = refusals(run.steps[step].path)["reasons"]
            rows += [(name, reason, count) for reason, count in reasons] or [(name, "", 0)]
    return rows


def made_with(step: StepRecord) -> str:
    """The commit and the versions with which a step was made."""
    provenance: Mapping[str, Any] = step.provenance
    commit = provenance.get("commit")
    changed = any(provenance.get(name) for name in ("uncommitted_diff", "uncommitted_diff_left_out"))
    changes = " with uncommitted changes" if changed else ""
    versions = [f"{name} {provenance['versions'].get(name)}" for name in _PACKAGES]
    return ", ".join([*versions, *([f"commit {commit}{changes}"] if commit else [])])
