"""Where machines meet: node 0's port, and torchrun's own for the ranks of one step."""

import ipaddress
import socket
from dataclasses import dataclass

from apm_exp.runtime.nodes.node_rank import Place


@dataclass(frozen=True)
class Meeting:
    """A rendezvous of torchrun: node 0's host, a port there, and a name that no other one has."""

    host: str
    port: int
    name: str

    def options(self, here: Place) -> list[str]:
        """torchrun's options. The static kind: ranks are numbered as the nodes are, so that node 0 has rank 0."""
        meet = ["--rdzv-backend=static", f"--rdzv-endpoint={self.host}:{self.port}", f"--rdzv-id={self.name}"]
        return [f"--nnodes={here.nodes}", f"--node-rank={here.node}", *meet]


def listening(here: Place) -> socket.socket:
    """A socket that listens at the rendezvous; ValueError where this machine cannot.

    On all its addresses, as a name may mean another one here than elsewhere, but for a loopback address.
    """
    try:
        return socket.create_server((here.host if _is_loopback(here.host) else "", here.port), backlog=here.nodes)
    except OSError as error:
        remedy = "is the command running here already? take another port on all nodes"
        raise ValueError(
            f"runtime.rendezvous={here.rendezvous}: cannot listen there ({error.strerror}); {remedy}"
        ) from error


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
