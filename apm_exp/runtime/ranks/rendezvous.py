"""The rendezvous of the ranks that a cluster's launcher starts: the variables that torch reads, and a free port."""

import os
import socket

from apm_exp.core.environment import clear_launcher

LAUNCHER = "APM_EXP_LAUNCHER"  # in the environment of the ranks of srun or mpirun: its name
_NAMES = {
    "srun": {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"},
    "mpirun": {
        "RANK": "OMPI_COMM_WORLD_RANK",
        "WORLD_SIZE": "OMPI_COMM_WORLD_SIZE",
        "LOCAL_RANK": "OMPI_COMM_WORLD_LOCAL_RANK",
    },
}
_KEPT = ("MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE")


def take_place(launcher: str) -> None:
    """Set torch's variables of rank and world size from those of the launcher, and remove all launchers' variables."""
    place = {name: os.environ[theirs] for name, theirs in _NAMES[launcher].items()}
    place |= {name: os.environ[name] for name in _KEPT}
    clear_launcher()
    os.environ.update(place)


def this_node() -> str:
    """Return the name of this machine in its scheduler, else its host name."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
