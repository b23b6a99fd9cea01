import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.types import MissingRewards
from apm_exp.selection.metrics.map import alignment_potential

# Explicit and implicit margins of the paper's Tables 5, 6 and 7, and Eq. 11 of them.
WORKED_EXAMPLES = {
    "table 5": (10.3 - 3.4, -1.4 - -7.7, 0.6),
    "table 6": (13.7 - 13.0, -3.7 - -2.9, -0.1),
    "table 7": (11.2 - 5.0, -8.9 - -3.4, 0.7),
}
margin = st.floats(-1e6, 1e6)
rows = st.lists(st.tuples(margin, margin), min_size=1, max_size=30)


@pytest.mark.parametrize("table", WORKED_EXAMPLES)
def test_worked_examples_of_the_paper(scores, table):
    explicit, implicit, potential = WORKED_EXAMPLES[table]
    columns = alignment_potential(scores([explicit], [implicit]), alpha=1.0, rescale=False)
    assert columns["value"] == pytest.approx([potential])


def test_each_margin_is_in_units_of_the_population_std_of_its_absolute_value(scores):
    # |e| = 1, 3 has std 1 (divisor 2); |i| = 0.5, 1.5 has std 0.5; the signed margins would have 2 and 1
    columns = alignment_potential(scores([1, -3], [0.5, -1.5]), alpha=2.0, rescale=True)
    assert columns["explicit_term"].tolist() == [1, 3]
    assert columns["implicit_term"].tolist() == [2, 6]
    assert columns["value"].tolist() == [-1, -3]


def test_no_mean_is_subtracted(scores):
    columns = alignment_potential(scores([100, 102], [50, 52]), alpha=0.5, rescale=True)
    assert columns["value"].tolist() == [100 - 25, 102 - 26]


def test_ranking_equals_the_release_with_its_z_scores(scores):
    generator = np.random.default_rng(0)
    explicit_P, implicit_P = np.abs(generator.normal(size=500)), generator.normal(size=500)
    z_explicit_P = (explicit_P - explicit_P.mean()) / explicit_P.std()
    z_implicit_P = (np.abs(implicit_P) - np.abs(implicit_P).mean()) / np.abs(implicit_P).std()
    value_P = alignment_potential(scores(explicit_P, implicit_P), alpha=2.5, rescale=True)["value"]
    assert np.argsort(value_P).tolist() == np.argsort(z_explicit_P - 2.5 * z_implicit_P).tolist()


def test_a_term_without_spread_contributes_zero_and_says_so(scores, caplog):
    with caplog.at_level(logging.WARNING):
        columns = alignment_potential(scores([0.1 + 0.2, -0.3, 0.3], [1, 2, 3]), alpha=1.0, rescale=True)
    assert columns["explicit_term"].tolist() == [0, 0, 0]
    assert np.isfinite(columns["value"]).all()
    assert columns["value"].argmax() == 0
    assert "explicit margins of all 3 pairs" in caplog.text


def test_alpha_zero_ranks_as_the_explicit_margin(scores):
    columns = alignment_potential(scores([1, -4, 2], [7, -8, 9]), alpha=0.0, rescale=False)
    assert columns["value"].tolist() == [1, 4, 2]


def test_without_rewards(scores):
    with pytest.raises(MissingRewards):
        alignment_potential(scores(None, [1.0]), alpha=1.0, rescale=True)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_margins_that_are_not_finite_are_named(scores, bad):
    with pytest.raises(ValueError, match=r"explicit margin .* 1 of 2 pairs \(pair_id p1\)"):
        alignment_potential(scores([1, bad], [1, 2]), alpha=1.0, rescale=True)
    with pytest.raises(ValueError, match=r"implicit margin .* 1 of 2 pairs \(pair_id p0\)"):
        alignment_potential(scores([1, 2], [bad, 2]), alpha=1.0, rescale=False)


@given(rows=rows, random=st.randoms(use_true_random=False), rescale=st.booleans())
def test_values_do_not_depend_on_the_order_of_the_rows(scores, rows, random, rescale):
    order = list(range(len(rows)))
    random.shuffle(order)
    explicit_P, implicit_P = np.array(rows).T
    value_P = alignment_potential(scores(explicit_P, implicit_P), alpha=2.5, rescale=rescale)["value"]
    shuffled = scores(explicit_P[order], implicit_P[order])
    assert alignment_potential(shuffled, alpha=2.5, rescale=rescale)["value"].tolist() == value_P[order].tolist()


@given(rows=rows, rescale=st.booleans())
def test_swapping_chosen_and_rejected_changes_nothing(scores, rows, rescale):
    explicit_P, implicit_P = np.array(rows).T
    value_P = alignment_potential(scores(explicit_P, implicit_P), alpha=0.5, rescale=rescale)["value"]
    swapped_P = alignment_potential(scores(-explicit_P, -implicit_P), alpha=0.5, rescale=rescale)["value"]
    assert swapped_P.tolist() == value_P.tolist()


@given(rows=rows, exponent=st.integers(-60, 60))
def test_the_unit_of_the_rewards_does_not_matter_when_rescaled(scores, rows, exponent):
    explicit_P, implicit_P = np.array(rows).T
    value_P = alignment_potential(scores(explicit_P, implicit_P), alpha=1.0, rescale=True)["value"]
    scaled = scores(explicit_P * 2.0**exponent, implicit_P)
    assert alignment_potential(scaled, alpha=1.0, rescale=True)["value"] == pytest.approx(value_P, abs=1e-9)
