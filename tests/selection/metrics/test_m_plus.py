import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.types import MissingRewards
from apm_exp.selection.metrics.m1 import m1
from apm_exp.selection.metrics.m_plus import m_plus
from apm_exp.selection.metrics.map import alignment_potential

rows = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("explicit", "implicit", "gap"),
    [(10.3 - 3.4, -1.4 - -7.7, 0.6), (13.7 - 13.0, -3.7 - -2.9, 1.5), (11.2 - 5.0, -8.9 - -3.4, 11.7)],
)
def test_worked_examples_of_the_paper(scores, explicit, implicit, gap):
    assert m_plus(scores([explicit], [implicit]), rescale=False)["value"] == pytest.approx([gap])


def test_an_implicit_margin_beyond_the_explicit_one_counts_against(scores):
    assert m_plus(scores([1, 5], [5, 1]), rescale=False)["value"].tolist() == [-4, 4]


def test_rescaled_by_the_sigmas_of_the_alignment_potential(scores):
    columns = m_plus(scores([1, -3], [0.5, 1.5]), rescale=True)
    assert columns["explicit_term"].tolist() == [1, -3]
    assert columns["implicit_term"].tolist() == [1, 3]
    assert columns["value"].tolist() == [0, -6]


@given(rows=rows, rescale=st.booleans())
def test_equals_the_alignment_potential_where_no_margin_is_negative(scores, rows, rescale):
    pairs = scores(*np.array(rows).T)
    potential_P = alignment_potential(pairs, alpha=1.0, rescale=rescale)["value"]
    assert m_plus(pairs, rescale=rescale)["value"].tolist() == potential_P.tolist()
    assert m1(pairs, rescale=rescale)["value"].tolist() == np.abs(potential_P).tolist()


def test_without_rewards(scores):
    with pytest.raises(MissingRewards):
        m_plus(scores(None, [1.0]), rescale=True)


def test_a_margin_that_is_not_finite_is_named(scores):
    with pytest.raises(ValueError, match="pair_id p1"):
        m_plus(scores([1, 1], [1, float("nan")]), rescale=False)
