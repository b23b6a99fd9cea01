import re

import numpy as np
import pytest

from apm_exp.selection.keep.threshold import threshold

IDS = np.array(["a", "b", "c"])


def test_keeps_values_from_the_minimum_on():
    assert threshold(np.array([0.5, 0.49, 2.0]), IDS, minimum=0.5).tolist() == [True, False, True]


def test_keeping_nothing_is_refused_with_the_highest_value():
    message = "keep.minimum=9.0: would keep 0 of 3 pairs, the highest value is 2; set a lower minimum"
    with pytest.raises(ValueError, match=re.escape(message)):
        threshold(np.array([0.5, 0.25, 2.0]), IDS, minimum=9.0)


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="would keep 0 of 0 pairs"):
        threshold(np.zeros(0), IDS[:0], minimum=0.0)


def test_nan_is_refused_and_named():
    with pytest.raises(ValueError, match="pair_id c"):
        threshold(np.array([0.5, 0.25, np.nan]), IDS, minimum=0.0)
