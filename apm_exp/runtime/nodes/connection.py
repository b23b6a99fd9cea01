"""Messages between two machines; each side learns within seconds that the process on the other one is gone."""

import contextlib
import json
import select
import socket
import time
from typing import Any

_MOST_BYTES = 2**24  # of one message
# Seconds of silence until the other machine is asked whether it is there, between questions, and until it counts as
# gone. The end of a process alone is told at once, by its system.
_IDLE, _BETWEEN, _UNANSWERED = 10, 5, 20


class Wire:
    """JSON messages, one a line, over a connection. A gone other side is a ConnectionError."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        self.connection, self.unread = connection, b""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wanted = {"TCP_KEEPIDLE": _IDLE, "TCP_KEEPINTVL": _BETWEEN, "TCP_KEEPCNT": _UNANSWERED // _BETWEEN}
        wanted |= {"TCP_USER_TIMEOUT": 1000 * (_IDLE + _UNANSWERED), "TCP_NODELAY": 1}
        for name, value in wanted.items():
            if hasattr(socket, name):  # not every system has all of them
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    @property
    def peer(self) -> str:
        """The other side's address."""
        return str(self.connection.getpeername()[0])

    def send(self, **message: Any) -> None:
        """Send a message."""
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:  # a time-out of the network is no ConnectionError
            raise ConnectionResetError(str(error)) from error

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next message, or None where none came within so many seconds. ConnectionError too for what is none."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self.unread:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                if not select.select([self.connection], [], [], left)[0]:
                    return None
                part = self.connection.recv(2**16)
            except (OSError, ValueError) as error:  # ValueError: this side has closed it
                raise ConnectionResetError(str(error)) from error
            if not part or len(self.unread) > _MOST_BYTES:
                raise ConnectionResetError("closed")
            self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        return _parsed(line)

    def close(self, **farewell: Any) -> None:
        """Send a last message, where that is still possible, and close."""
        with contextlib.suppress(OSError):
            if farewell:
                self.send(**farewell)
            self.connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that is receiving
        self.connection.close()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        raise ConnectionResetError("not a message") from None
    if not isinstance(message, dict):
        raise ConnectionResetError("not a message")
    return message
