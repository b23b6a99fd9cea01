"""The report page of one run, with everything in its artifacts."""

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.artifact import Artifact
from apm_exp.core.component import name_of
from apm_exp.core.step_names import evaluations_of, of_kind
from apm_exp.report import describe, figure
from apm_exp.report.evaluated import evaluated
from apm_exp.report.render import render
from apm_exp.report.run import collapse
from apm_exp.report.run import cost_rows as provenance_rows
from apm_exp.report.run.examples import examples
from apm_exp.report.run.explorer.section import explorer, script
from apm_exp.report.run.iterations.section import iterations
from apm_exp.report.run.length_bias import length_figure, length_rows, quartile_figure
from apm_exp.report.run.margins import margins_figure
from apm_exp.report.run.metric_values import metric_figure, ties_at_cut
from apm_exp.report.run.overlap import choices, overlap_figure, overlap_rows
from apm_exp.report.run.refusals import refused_by_step
from apm_exp.report.run.reward_sources import sources_section
from apm_exp.report.run.scored_pairs import ScoredPairs, read_scored_pairs
from apm_exp.report.run.training_curves import thinned, training_figures
from apm_exp.report.scores import interval_level, read_scores, results
from apm_exp.report.verdict import verdict
from apm_exp.training.few_steps import few_steps, little_moved
from apm_exp.training.metrics_file import read_rows

Context = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run: its configuration, command line, artifacts, and environment.

    export: the command that writes the kept pairs. steps: the artifacts by the names of the steps. shown: the selection
    that the page looks into, the pairs, logps and rewards that it was made of, and the policy. titles: of the stages by
    the kinds of their steps. A run that was to stop at its selection has no policy, and no evaluations. metric_option:
    what was chosen for metric=. reused: the names of the steps that the run has not built.
    """

    config: Mapping[str, Any]
    command: str
    export: str
    steps: Mapping[str, Artifact]
    shown: Mapping[str, Artifact]
    compare: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]
    titles: Mapping[str, str]
    metric_option: str
    reused: Collection[str]

    @property
    def evaluations(self) -> dict[str, Artifact]:
        """Return the evaluations of the last policy by name."""
        return evaluations_of(self.steps)


def write_page(run: Run, path: Path) -> Path:
    """Write the run's page to `path`. Reads the artifacts' tables and raises what reading them raises."""
    return render("run.html.jinja", context(run), path)


def context(run: Run) -> Context:
    """Return the template's context: plain values, and figures as markup."""
    scored = read_scored_pairs(run.shown["selection"].path, run.shown["logps"].path)
    config = describe.with_alpha_in_words(run.config, run.shown["selection"].counts.get("alpha"))
    heading = describe.title(config, with_loss="policy" in run.shown)
    alpha, code = run.shown["selection"].counts.get("alpha"), script()
    return {
        "title": f"{heading} | apm_exp report",
        "heading": heading,
        "verdict": verdict(run.config, run.metric_option, run.command, run.shown, _scores(run)),
        "inverted": _mostly_inverted(run.shown["rewards"].counts) if "rewards" in run.shown else None,
        "names": describe.names(config),
        "numbers": {"pairs": len(scored.kept_P), "kept": int(scored.kept_P.sum()), "trained": _trained(run)},
        "shown": _shown(run),
        "collapse": _collapse(run),
        "did_little": _did_little(run),
        "within_noise": run.shown["selection"].counts["within_noise"],
        "evaluations": _evaluations(run),
        "iterations": iterations(run.steps, run.config, run.reused),
        "margins": _margins(scored),
        "values": _values(scored, name_of(run.config["metric"])),
        "overlap": _overlap(scored, run),
        "explorer": explorer(scored, run.shown["pairs"].path, run.config, alpha, run.command),
        "script": code,
        "script_digest": base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
        "lengths": _lengths(scored),
        "sources": sources_section(run.shown, scored, run.config),
        "training": _training(run.shown["policy"].path) if "policy" in run.shown else None,
        "examples": examples(scored, run.shown["pairs"].path),
        "refused": refused_by_step(run.steps, run.titles),
        "cost": provenance_rows.cost(run.steps),
        "command": run.command,
        "export": run.export,
        "configuration": OmegaConf.to_yaml(OmegaConf.create(dict(run.config))).rstrip(),
        "provenance": provenance_rows.provenance_rows(run.provenance),
    }


def _trained(run: Run) -> int:
    """Return how many pairs the policy was trained on; 0 if none was."""
    return int(run.shown["policy"].counts["pairs"]) if "policy" in run.shown else 0


def _mostly_inverted(counts: Mapping[str, float]) -> float | None:
    """Return the share of pairs whose rejected response has the higher reward if it is above a half."""
    rewarded = counts.get("pairs", 0) - counts.get("unrewarded", 0)
    inverted = counts.get("inverted", 0)
    return inverted / rewarded if inverted > rewarded / 2 else None


def _shown(run: Run) -> Context | None:
    """Return the names of the selection and the policy that the page shows; None if the run has one of each."""
    kinds = [kind for kind in ("selection", "policy") if kind in run.shown]
    counts = {kind: len(of_kind(run.steps, kind)) for kind in kinds}
    if max(counts.values()) < 2:
        return None
    keys = {run.shown[kind].key for kind in kinds}
    names = [name for name, step in run.steps.items() if step.key in keys]
    return {"names": names, "selections": counts["selection"], "trainings": counts.get("policy", 0)}


def _scores(run: Run) -> dict[str, dict[str, dict[str, Any]]]:
    return read_scores({name: artifact.path for name, artifact in run.evaluations.items()})


def _evaluations(run: Run) -> list[Context]:
    """Return each evaluation: its name, what it scores, the level of its intervals, its results, the headline first."""
    scores = _scores(run)
    nodes = run.config.get("evals") or {}
    levels = {name: interval_level(nodes.get(name, {})) for name in scores}
    return [
        {"name": n, "of": evaluated(run.config, n), "level": levels[n], "results": results(n, records)}
        for n, records in scores.items()
    ]


def _margins(scored: ScoredPairs) -> Context | None:
    if scored.explicit_P is None:
        return None
    svg, notes = margins_figure(scored)
    inverted_P, tied_P = scored.explicit_P < 0, scored.explicit_P == 0
    counts = {"inverted": inverted_P, "inverted_kept": inverted_P & scored.kept_P, "tied": tied_P}
    return {"svg": svg, "notes": notes, **{name: int(mask_P.sum()) for name, mask_P in counts.items()}}


def _values(scored: ScoredPairs, metric: str) -> Context:
    tied_kept, tied_other = ties_at_cut(scored)
    notes = figure.beyond_note(figure.beyond(scored.value_P))
    return {"svg": metric_figure(scored, metric), "notes": notes, "tied_kept": tied_kept, "tied_other": tied_other}


def _overlap(scored: ScoredPairs, run: Run) -> Context:
    rule = run.config.get("alpha_rule")
    compared = choices(scored, run.compare, run.config["metric"], run.config["keep"], rule)
    return {"svg": overlap_figure(compared), "rows": overlap_rows(scored, compared)}


def _lengths(scored: ScoredPairs) -> Context:
    notes = figure.beyond_note(figure.beyond(scored.chosen_len_P - scored.rejected_len_P))
    figures = {"svg": length_figure(scored), "spread": quartile_figure(scored)}
    return figures | {"rows": length_rows(scored), "notes": notes}


def _training(policy: Path) -> Context:
    rows = read_rows(policy / "metrics.jsonl")
    return {"steps": len(rows), "every": thinned(rows)[1], "panels": training_figures(rows)}


def _did_little(run: Run) -> list[str]:
    """Return the warnings that the shown training changed the policy little."""
    if "policy" not in run.shown:
        return []
    counts = run.shown["policy"].counts
    return [text for text in (few_steps(counts, run.config), little_moved(counts)) if text]


def _collapse(run: Run) -> list[str]:
    if "policy" not in run.shown:
        return []
    signs = collapse.training_signs(read_rows(run.shown["policy"].path / "metrics.jsonl"))
    return signs + [sign for name, records in _scores(run).items() for sign in collapse.evaluation_signs(name, records)]
