"""How often a pair with margins of one sign comes first, counted by hand."""

import logging

import numpy as np
import pytest

from apm_exp.selection.alpha_rules.agreement import GRID, agreement


def test_the_smallest_alpha_of_the_grid_that_puts_agreed_pairs_first():
    # Agreed: 2.0 - 0.1 alpha. Contradicted: 2.3 - 3.1 alpha. The first is higher from alpha 0.1 on.
    alpha = agreement(np.array([2.0, 2.3]), np.array([0.1, -3.1]))
    assert alpha == min(candidate for candidate in GRID if candidate > 0.1)
    assert alpha == 2**-3.25


def test_where_agreed_pairs_have_the_larger_implicit_margins_alpha_is_zero():
    assert agreement(np.array([2.0, 1.0]), np.array([1.0, -0.5])) == 0


def test_a_tie_counts_half_and_a_margin_of_zero_nothing():
    # Agreed: 3 - alpha and 1 - alpha; contradicted: 3 - alpha. At every alpha one tie and one loss: the smallest.
    # The last two have no sign: at alpha 16 they would be far ahead.
    assert agreement(np.array([3.0, 1.0, 3.0, 9.0, 0.0]), np.array([1.0, 1.0, -1.0, 0.0, 0.1])) == 0


def test_an_order_that_is_no_better_than_chance_is_a_warning(caplog):
    independent = np.random.default_rng(0).normal(size=(2, 500))
    with caplog.at_level(logging.WARNING):
        agreement(*independent)
    assert "close to chance" in caplog.text
    assert "50% is chance, standard error 2.6" in caplog.text  # sqrt(501 / (12 * 250 * 250)) = 0.0258


def test_pairs_of_one_kind_only_are_refused():
    with pytest.raises(
        ValueError, match=r"2 pairs with margins of equal sign and 0 of opposite signs; set alpha_rule=b"
    ):
        agreement(np.array([1.0, -2.0]), np.array([1.0, -1.0]))
