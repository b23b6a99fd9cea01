"""Messages over a connection, whole or not at all, and the end of the other side."""

import socket

import pytest

from apm_exp.runtime.nodes.connection import Wire


@pytest.fixture
def wires():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Wire(socket.create_connection(listener.getsockname()))
        two = Wire(listener.accept()[0])
    yield one, two
    one.close()
    two.close()


def test_messages_come_in_order_however_they_are_cut(wires):
    one, two = wires
    one.send(text="a\nb", number=1)
    one.send(none=None)
    assert two.receive() == {"text": "a\nb", "number": 1}
    assert two.receive(1.0) == {"none": None}
    one.connection.sendall(b'{"cut": ')
    assert two.receive(0.05) is None
    one.connection.sendall(b"true}\n")
    assert two.receive() == {"cut": True}


def test_the_other_sides_end_comes_after_its_last_message(wires):
    one, two = wires
    one.close(over=0)
    assert two.receive() == {"over": 0}
    with pytest.raises(ConnectionError):
        two.receive()
    two.close(said="to nobody")


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n", b"[1]\n", b"\xff\xfe\n"])
def test_what_is_no_message_is_no_connection(wires, garbage):
    wires[0].connection.sendall(garbage)
    with pytest.raises(ConnectionError):
        wires[1].receive()
