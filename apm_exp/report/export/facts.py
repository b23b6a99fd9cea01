"""Facts about a run's selection, as text for a card."""

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
    """Return the metric, the keep rule, the number of kept pairs, and how many of them are within noise."""
    counts, metric = run.steps["selection"].counts, run.config["metric"]
    kept, pairs = int(counts["kept"]), int(counts["pairs"])
    facts = {"metric": described(metric)}
    if "alpha" in metric:
        alpha = counts.get("alpha", metric["alpha"])
        facts["alpha"] = f"{alpha}" if alpha == metric["alpha"] else f"{alpha:.6g} (requested: {metric['alpha']})"
    facts |= {f"standard deviation of the {name} margin's size": text for name, text in _sigmas(run).items()}
    facts["rule"] = described(run.config["keep"])
    facts["kept"] = f"{kept:,} of {pairs:,} pairs ({100 * kept / pairs:.1f}%)"
    if "within_noise" in counts:
        facts["within noise"] = f"rounding of the log-probs could replace at most {counts['within_noise']:,} kept pairs"
    return facts


def _sigmas(run: FinishedRun) -> dict[str, str]:
    """Return the sigmas of the alignment potential: of the absolute margins, over all ranked pairs."""
    units, sigmas = {"explicit": "reward units", "implicit": "nats per token"}, {}
    for column in MARGINS:
        margin_P = read_column(run.steps["selection"].path / "selection.parquet", column)
        name = column.removesuffix("_margin")
        if not np.isnan(margin_P).all():
            sigmas[name] = f"{population_std(np.abs(margin_P)):.6g} {units[name]}"
    return sigmas


def refused(run: FinishedRun) -> list[tuple[str, str, int]]:
    """Return (step, reason, count) of the refused rows; (step, "", 0) for a step that refused none."""
    steps = {"generations": "sampling", "pairs": "reading", "logps": "tokens"}
    rows: list[tuple[str, str, int]] = []
    for step, name in steps.items():
        if step in run.steps:
            reasons = refusals(run.steps[step].path)["reasons"]
            rows += [(name, reason, count) for reason, count in reasons] or [(name, "", 0)]
    return rows


def made_with(step: StepRecord) -> str:
    """Return the commit and the package versions with which a step was built."""
    provenance: Mapping[str, Any] = step.provenance
    commit = provenance.get("commit")
    changed = any(provenance.get(name) for name in ("uncommitted_diff", "uncommitted_diff_left_out"))
    changes = " with uncommitted changes" if changed else ""
    versions = [f"{name} {provenance['versions'].get(name)}" for name in _PACKAGES]
    return ", ".join([*versions, *([f"commit {commit}{changes}"] if commit else [])])
