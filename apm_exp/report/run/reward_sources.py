"""The section on what a reward is made of: agreement of the parts, their length slopes and inverted labels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.report.matrix_figure import matrix_figure
from apm_exp.report.run.reward_parts import RewardParts, read_reward_parts
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.selection.alpha_rules.choose import with_chosen_number, with_rule
from apm_exp.selection.rank_agreement import kendall, spearman
from apm_exp.selection.stability import Overlap, under_sources

_TOKENS = 100


def sources_section(
    shown: Mapping[str, Artifact], scored: ScoredPairs, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the section: one row a part, the figure of both rank correlations, and the overlap under other sources.

    It is None if the reward has no parts.
    """
    parts = read_reward_parts(shown, scored)
    if parts is None:
        return None
    known_P = np.isfinite(parts.margin_SP).all(0)
    margin_SP, length_P = parts.margin_SP[:, known_P], (scored.chosen_len_P - scored.rejected_len_P)[known_P]
    rows = [_row(name, margin_P, length_P) for name, margin_P in zip(parts.names, margin_SP, strict=True)]
    overlap = _overlap(parts, scored, config) if known_P.all() else None
    return {
        "pairs": int(known_P.sum()),
        "rows": rows,
        "svg": agreement_figure(parts.names, margin_SP),
        "overlap": overlap,
    }


def _row(name: str, margin_P: np.ndarray, length_P: np.ndarray) -> dict[str, Any]:
    sigma = margin_P.std()
    return {
        "name": name,
        "inverted": int((margin_P < 0).sum()),
        "share": float((margin_P < 0).mean()) if margin_P.size else None,
        "slope": length_slope(margin_P, length_P) / sigma if sigma else None,
    }


def length_slope(margin_P: np.ndarray, length_P: np.ndarray) -> float:
    """Return by how much the margin grows with each 100 tokens that the chosen response is longer, by least squares."""
    centered_P = length_P - length_P.mean()
    spread = float((centered_P**2).sum())
    return _TOKENS * float((centered_P * margin_P).sum()) / spread if spread else 0.0


def agreement_figure(names: Sequence[str], margin_SP: np.ndarray) -> Markup:
    """Return a matrix: Spearman's rho of the margins of two parts above the diagonal, Kendall's tau-b below it."""
    value_SS = np.eye(len(names))
    for row in range(len(names)):
        for column in range(row):
            value_SS[column, row] = spearman(margin_SP[row], margin_SP[column])
            value_SS[row, column] = kendall(margin_SP[row], margin_SP[column])
    texts = [[f"{value:.2f}" for value in row] for row in value_SS]
    said = "Rank correlations of the margins by each part of the reward."
    return matrix_figure("agreement", said, names, names, value_SS, texts, (0.0, 1.0))


def _overlap(parts: RewardParts, scored: ScoredPairs, config: Mapping[str, Any]) -> Overlap | None:
    """Return the overlap with selections by other draws of the parts; None if the margins are not means of theirs."""
    if scored.explicit_P is None or config["reward"].get("margin") == "max_min":
        return None
    weights = config["reward"].get("weights") or {}
    weight_S = np.array([weights.get(name, 1.0) for name in parts.names])
    metric = with_rule(config["metric"], config.get("alpha_rule"))
    metric = with_chosen_number(metric, scored.as_scores(), config["keep"])
    score: Callable[..., Any] = component.bind("metric", metric)
    rule = component.bind("keep", config["keep"])
    given = (score, rule, scored.as_scores(), scored.value_P, scored.kept_P)
    return under_sources(*given, parts.margin_SP, weight_S)
