"""Check that the servers, keys and programs that a job needs are available. A plan needs none of them."""

from apm_exp.core.told import ask
from apm_exp.jobs.job import Job
from apm_exp.pipeline.build import wants_rebuild
from apm_exp.pipeline.nodes import own_nodes
from apm_exp.pipeline.step import Seen, lineage, read_done


def check_ready(job: Job) -> None:
    """Call `ready` in the modules of the components of the steps that are to be built, which may raise ValueError."""
    seen: Seen = {}
    for step in job.steps.values():
        if read_done(step, seen) is None or any(wants_rebuild(job.config, each) for each in lineage(step)):
            for place, node in own_nodes(step.inputs):
                ask(place, node, "ready")
