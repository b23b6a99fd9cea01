"""Rate limits: when the next request may start."""

import time
from collections.abc import Callable
from threading import Lock


class Pace:
    """Spread requests evenly, below so many requests and tokens per minute; several threads may use it."""

    def __init__(
        self, requests: float | None, tokens: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._request = 60 / requests if requests else 0.0  # seconds
        self._token = 60 / tokens if tokens else 0.0
        self._clock, self._lock = clock, Lock()
        self._next_request = self._next_token = self._resume = clock()

    def start_of(self, tokens: int) -> float:
        """Return the time at which a request with about so many tokens may start, and reserve it."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next_request, self._next_token)
            if self._request:
                self._next_request = start + self._request
            if self._token:
                self._next_token = start + tokens * self._token
            return start

    def correct(self, expected: int, used: int) -> None:
        """Replace the expected tokens of a request by those that it used."""
        with self._lock:
            self._next_token += (used - expected) * self._token

    def pause(self, seconds: float) -> None:
        """Start no request for so long, as the server has asked."""
        with self._lock:
            self._resume = max(self._resume, self._clock() + seconds)

    def seconds_until(self, start: float) -> float:
        """Return how long to wait for a reserved start; 0 or less if it may start."""
        with self._lock:
            return max(start, self._resume) - self._clock()
