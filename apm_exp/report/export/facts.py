"""Facts about a run's selection, as text for a card."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core.sorted_parquet import read_column
from apm_exp.core.step_names import kind_of
from apm_exp.report.export.finished_run import FinishedRun, StepRecord
from apm_exp.report.export.kept_pairs import MARGINS
from apm_exp.report.export.parts import Part, made_from, parts_of
from apm_exp.report.export.sources import described
from apm_exp.report.run.refusals import refusals
from apm_exp.selection.metrics.rescale import population_std

_PACKAGES = ("apm-exp", "torch", "transformers", "trl", "datasets")
_REFUSING = {"prompts": "prompts", "generations": "sampling", "pairs": "reading", "logps": "tokens"}


def selection_facts(run: FinishedRun) -> dict[str, str]:
    """Return the metric, the keep rule, the number of kept pairs, and how many of them are within noise.

    A fact in which parts differ is given for each of them.
    """
    parts = parts_of(run)
    facts = {part.name: _facts_of(run, part) for part in parts}
    rows: dict[str, str] = {}
    for name in dict.fromkeys(name for each in facts.values() for name in each):
        texts = {part: each.get(name, "none") for part, each in facts.items()}
        same = len(set(texts.values())) == 1
        rows |= {name: texts[parts[0].name]} if same else {f"{name}, part {part}": texts[part] for part in texts}
    return rows


def _facts_of(run: FinishedRun, part: Part) -> dict[str, str]:
    counts, metric = part.selection.counts, _node(part.selection.inputs["metric"], run.config["metric"])
    kept, pairs = int(counts["kept"]), int(counts["pairs"])
    facts = {"metric": described(metric)}
    if "alpha" in metric:
        alpha = counts.get("alpha", metric["alpha"])
        facts["alpha"] = f"{alpha}" if alpha == metric["alpha"] else f"{alpha:.6g} (requested: {metric['alpha']})"
    facts |= {f"standard deviation of the {name} margin's size": text for name, text in _sigmas(part).items()}
    facts["rule"] = described(_node(part.selection.inputs["keep"], run.config["keep"]))
    facts["kept"] = f"{kept:,} of {pairs:,} pairs ({100 * kept / pairs:.1f}%)"
    if "within_noise" in counts:
        facts["within noise"] = f"rounding of the log-probs could replace at most {counts['within_noise']:,} kept pairs"
    return facts


def _node(recorded: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration's node if the step was given that one, else the plain settings of the recorded one.

    A recipe may give a part another rule. The record has digests in place of a path, and a rule's node in place of
    alpha=auto.
    """
    shown = {name: value for name, value in recorded.items() if name not in ("_source_", "path")}
    plain = {name: value for name, value in shown.items() if not isinstance(value, Mapping)}
    return given if all(given.get(name) == value for name, value in plain.items()) else shown


def _sigmas(part: Part) -> dict[str, str]:
    """Return the sigmas of the alignment potential: of the absolute margins, over all ranked pairs."""
    units, sigmas = {"explicit": "reward units", "implicit": "nats per token"}, {}
    for column in MARGINS:
        margin_P = read_column(part.file("selection"), column)
        name = column.removesuffix("_margin")
        if not np.isnan(margin_P).all():
            sigmas[name] = f"{population_std(np.abs(margin_P)):.6g} {units[name]}"
    return sigmas


def refused(run: FinishedRun) -> list[tuple[str, str, int]]:
    """Return (step, reason, count) of the refused rows; (step, "", 0) for a step that refused none."""
    parts = parts_of(run)
    steps = {name: step for part in parts for name, step in made_from(run, part.selection).items()}
    rows: list[tuple[str, str, int]] = []
    for name, step in steps.items():
        if (kind := kind_of(name)) in _REFUSING:
            words = "pairing" if kind == "pairs" and step.inputs["sampled"] else _REFUSING[kind]
            words += f" ({name})" if len(parts) > 1 else ""
            reasons = refusals(step.path)["reasons"]
            rows += [(words, reason, count) for reason, count in reasons] or [(words, "", 0)]
    return rows


def made_with(step: StepRecord) -> str:
    """Return the commit and the package versions with which a step was built."""
    provenance: Mapping[str, Any] = step.provenance
    commit = provenance.get("commit")
    changed = any(provenance.get(name) for name in ("uncommitted_diff", "uncommitted_diff_left_out"))
    changes = " with uncommitted changes" if changed else ""
    versions = [f"{name} {provenance['versions'].get(name)}" for name in _PACKAGES]
    return ", ".join([*versions, *([f"commit {commit}{changes}"] if commit else [])])
