"""Check that all nodes of an allocation have the same setup as this machine, before any work starts on them."""

import contextlib
import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.runtime.provenance import versions
from apm_exp.runtime.ranks.rendezvous import this_node
from apm_exp.runtime.run_in_ranks import run_in_ranks
from apm_exp.runtime.settings import all_processes

logger = logging.getLogger(__name__)
_AS_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")


def check_one_machine(runtime: Mapping[str, Any]) -> None:
    """Raise ValueError if `runtime` has several machines, and a launcher for one."""
    launcher, nodes = runtime.get("launcher", "torchrun"), runtime.get("nodes", 1)
    if launcher == "torchrun" and nodes > 1:
        remedy = "use runtime=slurm in a Slurm job, runtime=mpi with Open MPI, or runtime.nodes=1"
        raise ValueError(f"runtime.nodes={nodes}: runtime.launcher=torchrun starts the ranks of one machine; {remedy}")


def check_launcher(runtime: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> None:
    """Raise ValueError if the launcher that `runtime` names cannot start ranks from this machine."""
    launcher, nodes = runtime.get("launcher", "torchrun"), runtime.get("nodes", 1)
    if launcher == "mpirun" and shutil.which("mpirun") is None:
        raise ValueError("runtime=mpi: no mpirun in PATH; load Open MPI's module, or leave out runtime=mpi")
    if launcher == "mpirun" and os.geteuid() == 0 and not all(environ.get(name) == "1" for name in _AS_ROOT):
        raise ValueError(
            f"runtime=mpi: mpirun refuses to run as root; to allow it (in a container), set {'=1 '.join(_AS_ROOT)}=1"
        )
    if launcher != "srun":
        return
    if not environ.get("SLURM_JOB_NODELIST") or shutil.which("srun") is None:
        remedy = "run the command in an sbatch script or in salloc, or add -m hydra/launcher=slurm"
        raise ValueError(f"runtime=slurm: not in a Slurm job; {remedy}")
    if nodes > (allocated := int(environ.get("SLURM_JOB_NUM_NODES", 1))):
        remedy = f"use runtime.nodes={allocated}, or sbatch --nodes={nodes}"
        raise ValueError(f"runtime.nodes={nodes}: this Slurm job has {allocated}; {remedy}")


def check_nodes(config: Mapping[str, Any]) -> None:
    """Run one tiny step on all nodes, if a cluster's launcher starts the ranks.

    Raises a one-line ValueError for a node that lacks a device, has other versions or does not see `output_root`.
    """
    runtime = config["runtime"]
    ranks, nodes = all_processes(runtime), runtime.get("nodes", 1)
    if runtime.get("launcher", "torchrun") == "torchrun" or ranks == 1:
        return
    root = Path(config["output_root"]).absolute()
    out = root / ".nodes" / uuid.uuid4().hex
    logger.info("%d ranks on %d nodes: checking versions, devices, output_root and network", ranks, nodes)
    run_in_ranks(is_alike, out, {"versions_here": versions(), "runtime": runtime}, ranks)
    shutil.rmtree(out, ignore_errors=True)  # after a failure its logs are kept
    with contextlib.suppress(OSError):
        out.parent.rmdir()


def is_alike(out: Path, *, versions_here: Mapping[str, str | None], runtime: Mapping[str, Any]) -> dict[str, int]:
    """Compare the versions on this rank's node with those of the command, and communicate with the other ranks."""

    import torch

    for name, version in versions().items():
        if version != (there := versions_here.get(name)):
            remedy = "use the same software on all nodes"
            raise ValueError(f"versions.{name}={version} on {this_node()}: it is {there} on node 0; {remedy}")
    on_gpu = torch.distributed.get_backend() == "nccl"
    met = torch.ones(1, device="cuda" if on_gpu else "cpu")
    torch.distributed.all_reduce(met)
    return {"ranks": int(met.item())}
