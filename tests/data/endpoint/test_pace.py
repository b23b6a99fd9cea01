"""Rate limits on a clock of the test's own."""

import pytest

from apm_exp.data.endpoint.pace import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_requests_are_spread_over_the_minute():
    pace = Pace(60, None, Clock())
    assert [pace.start_of(1000) for _ in range(4)] == [100, 101, 102, 103]


def test_tokens_are_spread_over_the_minute_and_those_that_were_not_used_are_given_back():
    clock = Clock()
    pace = Pace(None, 6000, clock)  # 100 a second
    assert [pace.start_of(200), pace.start_of(50), pace.start_of(1)] == [100, 102, 102.5]
    pace.correct(200, 20)
    assert pace.start_of(1) == pytest.approx(100.71)


def test_the_stricter_of_two_limits_counts():
    pace = Pace(60, 6000, Clock())
    assert [pace.start_of(50), pace.start_of(500), pace.start_of(1)] == [100, 101, 106]


def test_an_idle_minute_allows_no_burst_afterwards():
    clock = Clock()
    pace = Pace(60, None, clock)
    pace.start_of(1)
    clock.now = 200.0
    assert [pace.start_of(1), pace.start_of(1)] == [200, 201]


def test_a_pause_that_the_server_asks_for_holds_all_requests_back():
    clock = Clock()
    pace = Pace(None, None, clock)
    start = pace.start_of(1)
    assert pace.seconds_until(start) == 0
    pace.pause(30)
    pace.pause(10)
    assert pace.seconds_until(start) == 30
    clock.now = 131.0
    assert pace.seconds_until(start) == -1
