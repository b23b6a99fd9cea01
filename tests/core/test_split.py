from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.artifact import Artifact
from apm_exp.core.split import held_out_split, number_held_out, train_split

PERCENT = st.integers(0, 99)


@pytest.mark.parametrize(
    ("prompts", "share", "expected"),
    [
        (100, 0.29, 29),  # 0.29 * 100 is 28.999999999999996 in binary
        (100, 0.05, 5),
        (762, 0.05, 38),  # 38.1
        (10, 0.25, 3),  # 2.5, half up
        (30, 0.05, 2),  # 1.5, half up
        (3, 0.05, 1),  # at least one
        (10, 0.0, 0),
        (10, 0, 0),
        (10, 0.99, 9),  # never all
        (1, 0.5, 0),
        (0, 0.5, 0),
        (100_000, 1e-05, 1),
    ],
)
def test_the_number_of_prompts_is_exact(prompts: int, share: float, expected: int) -> None:
    assert number_held_out(prompts, share) == expected


@given(st.integers(0, 10_000), PERCENT)
def test_the_number_is_the_share_within_its_bounds(prompts: int, percent: int) -> None:
    number, exact = number_held_out(prompts, percent / 100), Fraction(percent, 100) * prompts
    assert number < max(prompts, 1)
    assert abs(number - exact) <= Fraction(1, 2) or number in (1, prompts - 1)
    assert (number > 0) == (percent > 0 and prompts > 1)


@given(st.integers(0, 10_000), PERCENT, PERCENT)
def test_a_larger_share_keeps_what_a_smaller_one_held_out(prompts: int, one: int, other: int) -> None:
    assert number_held_out(prompts, min(one, other) / 100) <= number_held_out(prompts, max(one, other) / 100)


def test_each_pair_is_on_one_side_and_those_of_a_held_out_split_are_always_held_out() -> None:
    """Four prompts, of which half are held out: those of rank 0 and 1."""
    table = pa.table({"pair_id": list("abcdef"), "holdout_rank": [2, 0, -1, 1, 3, 2]})
    pairs = Artifact("pairs", Path("none"), "key", {"pairs": 6, "prompts": 4}, 0.0)
    sides = {
        share: [split(pairs, share).of(table)["pair_id"].to_pylist() for split in (train_split, held_out_split)]
        for share in (0.0, 0.5)
    }
    assert sides == {0.0: [list("abdef"), ["c"]], 0.5: [list("aef"), list("bcd")]}
