"""Figures: what is drawn, how it scales, and that it takes the page's colors."""

import re

import numpy as np
import pytest

from apm_exp.report import figure
from apm_exp.report.run.length_bias import length_figure, length_rows, quartile_figure
from apm_exp.report.run.margins import MOST_DOTS, drawn_rows, margins_figure
from apm_exp.report.run.metric_values import bin_edges, metric_figure, ties_at_cut
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.report.run.training_curves import thinned, training_figures
from tests.report.finished_run import CHOSEN_LENGTHS, REJECTED_LENGTHS, names, training_row


def scored_pairs(pairs: int, keep: int) -> ScoredPairs:
    """Pairs whose value falls with their number."""
    ramp = np.arange(pairs, 0.0, -1)
    lengths = np.resize(np.array(CHOSEN_LENGTHS, float), pairs), np.resize(np.array(REJECTED_LENGTHS, float), pairs)
    return ScoredPairs(np.array(names(pairs)), ramp, np.sin(ramp), ramp, ramp > pairs - keep, *lengths)


def dots_in(svg: str) -> int:
    return len(re.findall("h0", svg))


def test_every_pair_is_a_dot() -> None:
    svg, notes = margins_figure(scored_pairs(50, 20))
    assert dots_in(svg) == 50
    assert notes == []


def test_kept_and_other_dots_differ_in_color() -> None:
    svg, _ = margins_figure(scored_pairs(50, 20))
    paths = re.findall(r'<path d="([^"]*h0[^"]*)" style="([^"]*)"', svg)
    kept = sum(dots_in(path) for path, style in paths if "--kept" in style)
    other = sum(dots_in(path) for path, style in paths if "--other" in style)
    assert (kept, other) == (20, 30)


def test_many_pairs_are_thinned_by_a_stated_rule() -> None:
    pairs = 3 * MOST_DOTS
    rows = drawn_rows(pairs)
    assert len(rows) == MOST_DOTS
    assert (rows[0], rows[-1]) == (0, pairs - 1)
    assert set(np.diff(rows)) <= {2, 3, 4}
    svg, notes = margins_figure(scored_pairs(pairs, 100))
    assert dots_in(svg) == MOST_DOTS
    assert notes[0].startswith("10,000 of the 30,000 pairs are drawn")
    assert len(svg) < 300_000


def test_an_outlier_does_not_squash_the_rest_and_is_counted() -> None:
    values = np.append(np.linspace(0, 1, 1000), 1000.0)
    low, high = figure.limits(values)
    assert low < 0 < 1 < high < 1.2
    assert figure.beyond(values) == 1
    assert figure.beyond_note(1) == ["1 pair beyond the axes drawn at the edge."]


def test_equal_values_still_have_an_axis() -> None:
    low, high = figure.limits(np.full(5, 3.0))
    assert low < 3 < high


def test_infinite_values_are_drawn_at_the_edge() -> None:
    values = np.array([-np.inf, 1.0, 2.0, np.inf])
    low, high = figure.limits(values)
    assert -np.inf < low < 1 < 2 < high < np.inf
    assert figure.beyond(values) == 2
    assert figure.limits(np.array([np.inf])) == (0, 1)


def test_a_figure_without_rewards_is_refused() -> None:
    pairs = scored_pairs(5, 2)
    bare = ScoredPairs(pairs.pair_id_P, None, *(getattr(pairs, name) for name in list(pairs.__dict__)[2:]))
    with pytest.raises(ValueError, match="no rewards"):
        margins_figure(bare)


def test_the_cut_is_the_smallest_value_kept_and_ties_are_counted() -> None:
    value = np.array([5.0, 4, 4, 4, 1])
    kept = np.array([1, 1, 0, 0, 0], bool)
    pairs = ScoredPairs(np.array(names(5)), None, value, value, kept, value, value)
    assert pairs.cut == 4
    assert ties_at_cut(pairs) == (1, 2)
    assert ">cut 4<" in metric_figure(pairs, "implicit")


def test_no_bar_has_values_on_both_sides_of_the_cut() -> None:
    for low, high, cut in ((-3.7, 0.1, -1.1475), (0.0, 1.0, 0.3), (-0.5, 0.5, 0.0)):
        edges = bin_edges(low, high, cut)
        assert cut in edges
        assert edges[0] <= low < high <= edges[-1]
        assert 48 <= len(edges) - 1 <= 50


def test_lengths_counted_by_hand() -> None:
    kept, other, everything = length_rows(scored_pairs(10, 4))
    # The four kept: chosen 10 20 30 40, rejected 10 10 20 50, differences 0 10 10 -10.
    assert (kept["pairs"], kept["chosen"], kept["rejected"], kept["difference"]) == (4, 25, 22.5, 2.5)
    assert kept["standard_error"] == pytest.approx(np.sqrt(275 / 3) / 2)
    assert kept["longer"] == 0.5
    assert (other["pairs"], other["chosen"], other["rejected"]) == (6, 75, 70)
    assert everything["pairs"] == 10


def test_when_all_are_kept_the_others_are_an_empty_row() -> None:
    pairs = scored_pairs(10, 10)
    assert length_rows(pairs)[1] == {"name": "not kept", "pairs": 0}
    assert "--other" not in length_figure(pairs)
    assert "--other" not in quartile_figure(pairs)


def test_a_single_pair_can_be_drawn() -> None:
    pairs = scored_pairs(1, 1)
    assert dots_in(margins_figure(pairs)[0]) == 1
    for svg in (metric_figure(pairs, "map"), length_figure(pairs), quartile_figure(pairs)):
        assert svg.startswith("<svg")
    assert length_rows(pairs)[0]["standard_error"] is None


def test_svg_takes_colors_and_font_from_the_page_and_names_nothing_outside() -> None:
    svg = metric_figure(scored_pairs(20, 8), "map")
    assert "font-family" not in svg
    assert "http" not in svg
    assert "<style" not in svg
    assert set(re.findall(r"#[0-9a-f]{6}", svg.replace("var(--", "(")))
    for color in re.findall(r"(?:fill|stroke): ([^;\"]+)", svg):
        assert color == "none" or color.startswith("var(--")


def test_ids_are_unique_on_a_page() -> None:
    rows = [training_row(step, 30) for step in range(1, 31)]
    page = "".join([*(svg for _, svg in training_figures(rows)), margins_figure(scored_pairs(20, 8))[0]])
    found = re.findall(r' id="([^"]+)"', page)
    assert len(found) == len(set(found))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(found)


def test_a_label_is_text_and_not_markup_or_mathematics() -> None:
    svg = metric_figure(scored_pairs(20, 8), "<b>$x$</b>")
    assert "&lt;b&gt;$x$&lt;/b&gt;" in svg
    assert "<b>" not in svg


def test_training_panels_are_those_that_were_logged() -> None:
    rows = [{"step": step, "loss": 1 / step, "chosen_logp": -1.0, "other": "text"} for step in range(1, 4)]
    assert [panel.name for panel, _ in training_figures(rows)] == ["loss", "logps"]
    assert training_figures([]) == []


def test_values_that_are_not_numbers_are_gaps() -> None:
    rows = [{"step": 1, "loss": None}, {"step": 2, "loss": float("nan")}, {"step": 3, "loss": 0.5}]
    assert [panel.name for panel, _ in training_figures(rows)] == ["loss"]
    assert training_figures(rows[:2]) == []


def test_long_logs_are_thinned_and_keep_their_ends() -> None:
    rows = [{"step": step} for step in range(1, 2001)]
    drawn, every = thinned(rows)
    assert every == 4
    assert len(drawn) == 501
    assert (drawn[0]["step"], drawn[-1]["step"]) == (1, 2000)
