import re

import numpy as np
import pytest

from apm_exp.selection.keep.top_k import top_k


def test_keeps_the_k_highest_values():
    kept_P = top_k(np.array([0.3, 0.9, -1.0, 0.9]), np.array(["a", "b", "c", "d"]), k=3)
    assert kept_P.tolist() == [True, True, False, True]


def test_as_many_as_there_are():
    assert top_k(np.zeros(3), np.array(["a", "b", "c"]), k=3).all()


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match=re.escape("keep.k=4: there are only 3 pairs; set at most keep.k=3")):
        top_k(np.zeros(3), np.array(["a", "b", "c"]), k=4)
