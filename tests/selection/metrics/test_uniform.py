from hashlib import blake2b

import numpy as np
import pytest

from apm_exp.selection.metrics.uniform import uniform


def test_value_is_the_hash_of_seed_and_pair_id(scores):
    digest = blake2b(b"7:p0", digest_size=8).digest()
    expected = (int.from_bytes(digest, "big") >> 11) / 2**53
    assert uniform(scores(None, [0.0]), seed=7)["value"].tolist() == [expected]


def test_a_pair_keeps_its_value_whatever_the_other_pairs_and_their_order(scores):
    few = uniform(scores(None, [0, 0, 0], ids=["b", "ü", "c"]), seed=1)["value"]
    more = uniform(scores(None, [0, 0, 0, 0], ids=["c", "x", "ü", "b"]), seed=1)["value"]
    assert more[[3, 2, 0]].tolist() == few.tolist()


def test_another_seed_gives_another_order(scores):
    pairs = scores(None, np.zeros(50))
    first, second = (np.argsort(uniform(pairs, seed=seed)["value"]) for seed in (0, 1))
    assert first.tolist() != second.tolist()


def test_values_are_uniform_over_pairs(scores):
    value_P = uniform(scores(None, np.zeros(20_000)), seed=3)["value"]
    assert value_P.min() >= 0
    assert value_P.max() < 1
    counts, _ = np.histogram(value_P, bins=20, range=(0, 1))
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 43.8  # 0.1% of uniform samples exceed this (19 degrees of freedom)


@pytest.mark.parametrize("margin", [0.0, float("nan")])
def test_margins_are_not_looked_at(scores, margin):
    with_margin = uniform(scores([margin], [margin]), seed=0)["value"]
    assert with_margin.tolist() == uniform(scores(None, [1.0]), seed=0)["value"].tolist()
