"""Holm's correction on the example of textbooks, and against its definition written another way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.significance import holm


def test_four_hypotheses_by_hand() -> None:
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which may not be below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_none_and_one_need_no_correction_and_no_p_is_above_one() -> None:
    assert holm([]) == []
    assert holm([0.3]) == [0.3]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_rejects_what_the_step_down_procedure_rejects(p_values: list[float], level: float) -> None:
    left = sorted(p_values)
    while left and left[0] <= level / len(left):
        left.pop(0)
    rejected = len(p_values) - len(left)
    close = any(abs(p * k - level) < 1e-9 for p in p_values for k in range(1, len(p_values) + 1))
    assert close or sum(p <= level for p in holm(p_values)) == rejected
