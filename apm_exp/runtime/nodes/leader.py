"""Node 0's side: it waits for the other machines, has them start ranks, and ends when one of them is gone."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apm_exp.core.errors import NodeError, exit_code, one_line
from apm_exp.core.files import write_text
from apm_exp.runtime.nodes.connection import Wire
from apm_exp.runtime.nodes.handshake import difference, settings_of
from apm_exp.runtime.nodes.node_rank import Place
from apm_exp.runtime.nodes.rendezvous import Meeting, free_port, listening
from apm_exp.runtime.ranks.failures import Report

logger = logging.getLogger(__name__)
GRACE = 3.0  # seconds in which ranks notice by themselves, and say, that others have failed
_SECONDS_FOR_HELLO = 10
_SECONDS_TO_END = 30  # after which a lost node is said again: what was raised may have been swallowed
_leader: "Leader | None" = None  # of this process, as torch.distributed keeps its process group


def leader() -> "Leader | None":
    """The leader of the job that this process does; None where it is on one machine."""
    return _leader


@contextmanager
def leading(config: Mapping[str, Any], here: Place) -> Iterator["Leader | None"]:
    """Lead the other machines of a job in the block, at whose end they are told how it ended; None for one machine.

    They may join from the start of the block on; Leader.gather waits for them.
    """
    global _leader
    if here.nodes == 1:
        yield None
        return
    _leader = Leader(config, here)
    try:
        yield _leader
    except BaseException as error:
        _leader.end(error)
        raise
    else:
        _leader.end(None)
    finally:
        _leader = None


class Leader:
    """reports: what came of the ranks of each other machine, by its number."""

    def __init__(self, config: Mapping[str, Any], here: Place) -> None:
        self.config, self.here = config, here
        self.reports: dict[int, Report] = {}
        self.wires: dict[int, Wire] = {}
        self.ready: set[int] = set()
        self.terminated, self.lost, self.over = False, "", threading.Event()
        self.listener = listening(here)
        signal.signal(signal.SIGUSR2, self._raise_lost)

    def gather(self) -> None:
        """Wait until all machines have joined and see the output folder; NodeError where they do not in time."""
        root = Path(self.config["output_root"]).absolute()
        mark = root / ".nodes" / uuid.uuid4().hex
        mark.parent.mkdir(parents=True, exist_ok=True)
        write_text("written by node 0, for the others to see\n", mark)
        logger.info("node 0 of %d: waiting for the others at %s", self.here.nodes, self.here.rendezvous)
        try:
            deadline = time.monotonic() + self.config["runtime"]["join_seconds"]
            while len(self.wires) < self.here.nodes - 1:
                self._admit(Wire(self._next_connection(deadline)), mark)
            while len(self.ready) < self.here.nodes - 1:
                time.sleep(0.05)
        finally:
            mark.unlink()
            with contextlib.suppress(OSError):
                mark.parent.rmdir()
        self.listener.close()

    def start_ranks(self, task: Path, processes: int, threads: int | None) -> list[str]:
        """Have every other machine start so many ranks of a task; returns torchrun's options for this one's."""
        self.reports.clear()
        meeting = Meeting(self.here.host, free_port(), uuid.uuid4().hex)
        self._tell(run=str(task.absolute()), processes=processes, threads=threads, port=meeting.port, name=meeting.name)
        return meeting.options(self.here)

    def attend(self, started: "subprocess.Popen[bytes]") -> bool:
        """Wait until the ranks of all machines have ended, this one's in `started`; returns whether those were stopped.

        Where some have failed, the others are stopped, as they may be waiting for them.
        """
        stopped, deadline = False, float("inf")
        while started.poll() is None or len(self.reports) < self.here.nodes - 1:
            failed = started.returncode or any(report.code for report in list(self.reports.values()))
            if failed and deadline == float("inf"):
                deadline = time.monotonic() + GRACE
                self._tell(stop=True)
            if started.returncode is None and time.monotonic() > deadline:
                started.kill()
                stopped = True
            time.sleep(0.05)
        return stopped

    def end(self, error: BaseException | None) -> None:
        """Tell the others, also those that were still to join, how this job ended."""
        self.over.set()
        said = {"over": exit_code(error), "line": one_line(error) if error else ""}
        with contextlib.suppress(OSError):  # no more are waiting, or all had joined and it is closed
            self.listener.settimeout(0)
            while True:
                Wire(self.listener.accept()[0]).close(**said)
        self.listener.close()
        for wire in self.wires.values():
            wire.close(**said)

    def _next_connection(self, deadline: float) -> socket.socket:
        self.listener.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            return self.listener.accept()[0]
        except TimeoutError:
            absent = ", ".join(str(node) for node in range(1, self.here.nodes) if node not in self.wires)
            after = f"not there after runtime.join_seconds={self.config['runtime']['join_seconds']}"
            remedy = "type the same command on each node, with runtime.node_rank=0, 1, ..."
            raise NodeError(f"runtime.nodes={self.here.nodes}: node {absent} {after}; {remedy}") from None

    def _admit(self, wire: Wire, mark: Path) -> None:
        try:
            hello = wire.receive(_SECONDS_FOR_HELLO)
        except ConnectionError:
            hello = None
        if hello is None:
            return wire.close()
        node: Any = hello.get("node")
        if fault := self._fault(node, hello.get("settings")):
            logger.warning("node %s was refused: %s", node, fault)
            return wire.close(refused=fault)
        self.wires[node] = wire
        wire.send(mark=str(mark))
        threading.Thread(target=self._listen, args=(node, wire), daemon=True).start()
        logger.info("node %d of %d is here: %s", node, self.here.nodes, wire.peer)

    def _fault(self, node: Any, settings: Any) -> str | None:
        if node not in range(1, self.here.nodes) or not isinstance(settings, dict):
            return f"runtime.node_rank={node}: not one of the nodes 1 to {self.here.nodes - 1}"
        if node in self.wires:
            return f"runtime.node_rank={node}: node {node} is here already; one command a machine, each its own number"
        return difference(settings, settings_of(self.config))

    def _listen(self, node: int, wire: Wire) -> None:
        why = "is gone: its command, its machine or the network ended"
        try:
            while (message := wire.receive()) is not None:
                if "report" in message:
                    self.reports[node] = Report(**message["report"])
                elif "ready" in message:
                    self.ready.add(node)
                elif "terminated" in message and not self.terminated:
                    self.terminated = True  # it may say so again
                    os.kill(os.getpid(), signal.SIGTERM)
                elif "ended" in message:
                    why = f"ended: {message['ended']}"
                    break
        except ConnectionError:
            pass
        self._lose(f"node {node} {why}")

    def _lose(self, why: str) -> None:
        """Raise NodeError in the main thread, wherever it is."""
        remedy = "re-run the same command on all nodes to resume"
        self.lost = self.lost or f"runtime.nodes={self.here.nodes}: {why}; {remedy}"
        while not self.over.is_set():
            signal.pthread_kill(threading.main_thread().ident or os.getpid(), signal.SIGUSR2)
            self.over.wait(_SECONDS_TO_END)

    def _raise_lost(self, number: int, frame: Any) -> None:
        if self.lost and not self.over.is_set():
            raise NodeError(self.lost)

    def _tell(self, **message: Any) -> None:
        for wire in self.wires.values():
            with contextlib.suppress(ConnectionError):  # whoever listens to it has noticed
                wire.send(**message)
