"""Which of several machines this one is, and where they meet: from `runtime`, and what a launcher has set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.runtime.nodes.slurm import slurm_rendezvous

_SET_BY_LAUNCHERS = ("SLURM_NODEID", "NODE_RANK", "GROUP_RANK")


@dataclass(frozen=True)
class Place:
    """node: 0 leads, the others follow. nodes: how many there are. host, port: where node 0 listens."""

    node: int = 0
    nodes: int = 1
    host: str = ""
    port: int = 0

    @property
    def rendezvous(self) -> str:
        """host and port in one."""
        return f"{self.host}:{self.port}"


def place(runtime: Mapping[str, Any]) -> Place:
    """This machine's place among the machines of a job.

    Raises a one-line ValueError where the settings do not say it, or contradict each other.
    """
    nodes, rendezvous = runtime.get("nodes", 1), runtime.get("rendezvous")
    if nodes > 1 and rendezvous is None:
        rendezvous = slurm_rendezvous()
    if nodes == 1:
        _check_alone(runtime)
        return Place()
    if rendezvous is None:
        remedy = "give runtime.rendezvous=HOST:PORT, the name of node 0 and a free port there"
        raise ValueError(f"runtime.rendezvous=null: {nodes} nodes must know where they meet; {remedy}")
    host, _, port = str(rendezvous).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"runtime.rendezvous={rendezvous}: not HOST:PORT; give it as node0:29500")
    return Place(_node(runtime, nodes), nodes, host, int(port))


def _check_alone(runtime: Mapping[str, Any]) -> None:
    for name in ("rendezvous", "node_rank"):
        if value := runtime.get(name):
            remedy = "give runtime.nodes=NUMBER as well, or leave it out"
            raise ValueError(f"runtime.{name}={value}: runtime.nodes=1 is this machine alone; {remedy}")


def _node(runtime: Mapping[str, Any], nodes: int) -> int:
    found = {"runtime.node_rank": runtime.get("node_rank")} | {name: os.environ.get(name) for name in _SET_BY_LAUNCHERS}
    name, value = next(((name, value) for name, value in found.items() if value is not None), (None, None))
    if value is None:
        launchers = ", ".join(_SET_BY_LAUNCHERS)
        others = "1 on the other" if nodes == 2 else f"1 to {nodes - 1} on the others"
        remedy = f"give 0 on the machine of runtime.rendezvous, {others}"
        raise ValueError(f"runtime.node_rank=null: nor do {launchers} say which node this is; {remedy}")
    if not str(value).isdecimal() or int(value) >= nodes:
        remedy = "give runtime.node_rank=NUMBER, another on each machine"
        raise ValueError(f"{name}={value}: runtime.nodes={nodes} are the nodes 0 to {nodes - 1}; {remedy}")
    return int(value)
