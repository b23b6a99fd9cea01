"""Which rows of a data set are used."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from apm_exp.data.sources.drawn import drawn
from apm_exp.data.sources.rows import SourceRow


def numbers(rows: int, **settings: int | None) -> list[int]:
    """The numbers of the rows that are used, of so many."""

    def read() -> Iterator[SourceRow]:
        return (SourceRow(f"file:{number}", {}, None) for number in range(rows))

    return [int(row.source.rpartition(":")[2]) for row in drawn(read, **{"limit": None, **settings})]  # type: ignore[arg-type]


def test_without_a_seed_the_rows_after_skip_are_used() -> None:
    assert numbers(10, skip=3, limit=4) == [3, 4, 5, 6]
    assert numbers(10, skip=8, limit=4) == [8, 9]
    assert numbers(3) == [0, 1, 2]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_two_draws_of_one_seed_have_no_row_in_common_and_are_in_order(
    rows: int, skip: int, limit: int, seed: int
) -> None:
    first, second = (numbers(rows, skip=start, limit=limit, draw_seed=seed) for start in (skip, skip + limit))
    assert not set(first) & set(second)
    assert first == sorted(first)
    assert len(first) == min(limit, max(0, rows - skip))


def test_a_draw_is_a_random_one() -> None:
    draws = [numbers(1000, limit=500, draw_seed=seed) for seed in (0, 1)]
    assert draws[0] == numbers(1000, limit=500, draw_seed=0)
    assert 200 < len(set(draws[0]) & set(draws[1])) < 300  # 250 expected, with a standard deviation of 8
