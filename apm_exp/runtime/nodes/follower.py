"""The other machines' side: they start ranks when node 0 says so, write nothing else, and end with it."""

import logging
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from apm_exp.core.errors import NodeError, one_line
from apm_exp.runtime.nodes.connection import Wire
from apm_exp.runtime.nodes.handshake import settings_of
from apm_exp.runtime.nodes.leader import GRACE
from apm_exp.runtime.nodes.node_rank import Place
from apm_exp.runtime.nodes.rendezvous import Meeting
from apm_exp.runtime.ranks.failures import Report, read_report
from apm_exp.runtime.ranks.torchrun_process import launched
from apm_exp.runtime.settings import check_devices

logger = logging.getLogger(__name__)
_BETWEEN_LOOKS, _BETWEEN_TRIES = 0.1, 0.5  # seconds
_REMEDY = "re-run the same command on all nodes to resume"
_GONE = f"node 0 is gone: its command, its machine or the network ended; {_REMEDY}"
_SECONDS_TO_SEE = 90.0  # a shared folder may show a new file as late as a minute after it was written


def follow(config: Mapping[str, Any], here: Place) -> None:
    """Be one of the machines that node 0 leads, until its job is done.

    Raises NodeError where node 0 fails or is gone, and a one-line ValueError for what this machine lacks.
    """
    wire = _joined(config, here)
    try:
        mark = _answer(wire)["mark"]
        if not _seen(Path(mark)):
            remedy = "give a folder that all nodes share, under the same path"
            raise ValueError(f"output_root={Path(mark).parents[1]}: what node 0 wrote there is not here; {remedy}")
        check_devices(config["runtime"])
        wire.send(ready=True)
        _obey(wire, here)
    except ConnectionError as error:
        raise NodeError(_GONE) from error
    except BaseException as error:
        wire.close(ended=one_line(error))
        raise
    finally:
        wire.close()
    logger.info("node %d of %d: node 0 is done", here.node, here.nodes)


def _joined(config: Mapping[str, Any], here: Place) -> Wire:
    logger.info("node %d of %d: joining node 0 at %s", here.node, here.nodes, here.rendezvous)
    seconds = config["runtime"]["join_seconds"]
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection = socket.create_connection((here.host, here.port), timeout=max(0.1, deadline - time.monotonic()))
            break
        except socket.gaierror as error:
            remedy = "give the name or the address of node 0"
            raise NodeError(f"runtime.rendezvous={here.rendezvous}: {error.strerror}; {remedy}") from error
        except OSError as error:
            if time.monotonic() > deadline:
                after = f"no answer from node 0 within runtime.join_seconds={seconds} ({error})"
                remedy = "type the same command there, with runtime.node_rank=0"
                raise NodeError(f"runtime.rendezvous={here.rendezvous}: {after}; {remedy}") from error
            time.sleep(_BETWEEN_TRIES)
    wire = Wire(connection)
    wire.send(node=here.node, settings=settings_of(config))
    return wire


def _answer(wire: Wire, seconds: float | None = None) -> dict[str, Any]:
    """The next message of node 0, {} where there is none in time; raises NodeError where it says that all is over."""
    try:
        message = wire.receive(seconds) or {}
    except ConnectionError as error:
        raise NodeError(_GONE) from error
    if "refused" in message:
        raise NodeError(message["refused"])
    if message.get("over"):
        raise NodeError(f"node 0 ended: {message['line']}", message["over"])
    return message


def _obey(wire: Wire, here: Place) -> None:
    """Start ranks when told to. SIGTERM here is SIGTERM on node 0, which ends all in good order."""
    signal.signal(signal.SIGTERM, lambda *_: wire.send(terminated=True))
    while "over" not in (message := _answer(wire)):
        if "run" in message:
            wire.send(report=asdict(_run(message, wire, here)))


def _run(order: Mapping[str, Any], wire: Wire, here: Place) -> Report:
    """Start this machine's ranks of a task and wait for them, or for node 0 to stop them."""
    task, meeting = Path(order["run"]), Meeting(here.host, order["port"], order["name"])
    if not _seen(task):
        raise ValueError(
            f"output_root: {task} of node 0 is not here after {_SECONDS_TO_SEE:g} s; is the folder shared?"
        )
    processes, threads = order["processes"], order["threads"]
    logger.info("node %d of %d: %d of the processes for %s", here.node, here.nodes, processes, task.parents[2])
    options = meeting.options(here)
    with launched(task, processes=processes, threads=threads, node=here.node, options=options) as started:
        stopped = _attend(started, wire)
    return read_report(task.parent, here.node, started.returncode, stopped)


def _attend(started: "subprocess.Popen[bytes]", wire: Wire) -> bool:
    """Wait until this machine's ranks have ended; returns whether they were stopped, as others had failed."""
    deadline = float("inf")
    while started.poll() is None:
        if "stop" in _answer(wire, _BETWEEN_LOOKS):
            deadline = time.monotonic() + GRACE
        if time.monotonic() > deadline:
            started.kill()
            started.wait()
            return True
    return False


def _seen(path: Path) -> bool:
    deadline = time.monotonic() + _SECONDS_TO_SEE
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(_BETWEEN_TRIES)
    return True
