"""Where the machines of a Slurm job meet, from what Slurm tells each of them."""

import os
import re
from collections.abc import Mapping

_FIRST_PORT, _PORTS = 20_000, 10_000


def slurm_rendezvous(environ: Mapping[str, str] = os.environ) -> str | None:
    """HOST:PORT of the first node of this Slurm job, the same on all of its nodes; None outside of Slurm.

    The port is made from the job's number: two jobs with the same first node have different ones.
    """
    nodes, job = environ.get("SLURM_JOB_NODELIST"), environ.get("SLURM_JOB_ID")
    if not nodes or not job:
        return None
    return f"{first_host(nodes)}:{_FIRST_PORT + int(job) % _PORTS}"


def first_host(nodes: str) -> str:
    """The first name in Slurm's short form of a list: `gpu[07-09,12],login1` begins with gpu07."""
    name = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\]([^\[,]*))?", nodes)
    assert name is not None  # an empty list matches too
    return "".join(part or "" for part in name.groups())
