"""How machines come together, what keeps them apart, and what happens when one is gone: without any rank."""

import select
import signal
import socket
import threading
import time

import pytest

from apm_exp.core.errors import LOST, NodeError
from apm_exp.runtime.nodes import follower as following
from apm_exp.runtime.nodes.connection import Wire
from apm_exp.runtime.nodes.follower import follow
from apm_exp.runtime.nodes.handshake import difference, settings_of
from apm_exp.runtime.nodes.leader import leader, leading
from apm_exp.runtime.nodes.node_rank import Place
from apm_exp.runtime.nodes.rendezvous import Meeting, free_port, listening


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def config(tmp_path):
    runtime = {"processes": 1, "nodes": 2, "device": "cpu", "join_seconds": 0.3}
    return {"alpha": 1.0, "output_root": str(tmp_path / "outputs"), "runtime": runtime}


@pytest.fixture(autouse=True)
def signals():
    before = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, before)


def place_of(node, port):
    return Place(node, 2, "127.0.0.1", port)


def joined(config, port, node=1):
    """A connection to node 0, after the greeting of this node with this configuration."""
    wire = Wire(socket.create_connection(("127.0.0.1", port)))
    wire.send(node=node, settings=settings_of(config))
    return wire


def in_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def lead(config, port, other=lambda: None, seconds=0.0):
    """Be node 0 while `other` runs in a thread, and work for so many seconds when all are there."""
    with leading(config, place_of(0, port)) as led:
        in_thread(other)
        led.gather()
        time.sleep(seconds)


@pytest.fixture
def patient(config):
    config["runtime"]["join_seconds"] = 60.0
    return config


def test_a_node_that_does_not_come_is_named(config, port, tmp_path):
    message = r"^runtime.nodes=2: node 1 not there after runtime.join_seconds=0.3; type the same command on each node"
    with pytest.raises(NodeError, match=message) as raised:
        lead(config, port)
    assert raised.value.code == LOST
    assert leader() is None
    assert list((tmp_path / "outputs").iterdir()) == []


def test_other_settings_a_wrong_number_and_strangers_are_refused(patient, port):
    answers = []

    def come():
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        for given, node in (({**patient, "alpha": 2.0}, 1), (patient, 0), (patient, 1)):
            wire = joined(given, port, node)
            answers.append(wire.receive(10))
            wire.close()

    with pytest.raises(NodeError, match="node 1 is gone"):
        lead(patient, port, come, seconds=60)
    refusals = [answer["refused"] for answer in answers[:2]]
    assert refusals[0] == "alpha=2.0: it is 1.0 on node 0; type the same command, with the same software, on all nodes"
    assert refusals[1].startswith("runtime.node_rank=0: not one of the nodes 1 to 1")
    assert "mark" in answers[2]


def test_the_number_of_a_node_may_differ_and_nothing_else(config):
    settings = settings_of({**config, "runtime": {**config["runtime"], "node_rank": 0}})
    other = settings_of({**config, "runtime": {**config["runtime"], "node_rank": 1}})
    assert difference(settings, other) is None
    assert difference(settings | {"versions.torch": "1.0"}, settings).startswith("versions.torch=1.0: it is ")


def test_a_node_that_goes_stops_node_0_wherever_it_is(patient, port):
    def come():
        wire = joined(patient, port)
        assert "mark" in wire.receive(10)
        wire.send(ready=True)
        time.sleep(0.2)
        wire.close()

    began = time.monotonic()
    with pytest.raises(NodeError, match=r"^runtime.nodes=2: node 1 is gone: .*to resume$"):
        lead(patient, port, come, seconds=60)
    assert time.monotonic() - began < 30


def test_a_follower_ends_with_the_error_of_node_0_also_before_it_was_taken_in(patient, port):
    ended = []

    def come():
        with pytest.raises(NodeError, match=r"^node 0 ended: keep.k=9: too many$") as raised:
            follow(patient, place_of(1, port))
        ended.append(raised.value.code)

    def lead_badly():
        with leading(patient, place_of(0, port)) as led:
            threads.append(in_thread(come))
            assert select.select([led.listener], [], [], 30)[0]  # it knocks
            raise ValueError("keep.k=9: too many")

    threads = []
    with pytest.raises(ValueError, match="too many"):
        lead_badly()
    threads[0].join(30)
    assert ended == [1]


def test_a_follower_says_what_its_machine_lacks(patient, port, monkeypatch):
    """Here the folder of node 0; node 0 ends with that line too."""
    monkeypatch.setattr(following, "_seen", lambda path: False)
    ended = threading.Event()

    def come():
        with pytest.raises(ValueError, match=r"^output_root=/.*/outputs: what node 0 wrote there is not here"):
            follow(patient, place_of(1, port))
        ended.set()

    with pytest.raises(NodeError) as raised:
        lead(patient, port, come, seconds=60)
    assert str(raised.value).startswith("runtime.nodes=2: node 1 ended: output_root=/")
    assert ended.wait(30)


def test_a_follower_waits_no_longer_than_it_was_told(config, port):
    message = r"^runtime.rendezvous=127.0.0.1:\d+: no answer from node 0 within runtime.join_seconds=0.3 .*node_rank=0$"
    with pytest.raises(NodeError, match=message):
        follow(config, place_of(1, port))


def test_a_name_that_no_machine_has_is_not_waited_for(config, monkeypatch):
    def unknown(*arguments, **settings):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    with pytest.raises(NodeError, match=r"^runtime.rendezvous=absent:1: Name or service not known; give the name"):
        follow(config, Place(1, 2, "absent", 1))


def test_a_port_that_is_taken_is_named(config, port):
    with (
        listening(place_of(0, port)),
        pytest.raises(ValueError, match=rf"^runtime.rendezvous=127.0.0.1:{port}: cannot"),
    ):
        listening(place_of(0, port))


def test_ranks_are_numbered_as_the_nodes_are():
    options = Meeting("node0", 4000, "x").options(Place(1, 3, "node0", 29500))
    assert options[:3] == ["--nnodes=3", "--node-rank=1", "--rdzv-backend=static"]
    assert options[3:] == ["--rdzv-endpoint=node0:4000", "--rdzv-id=x"]
