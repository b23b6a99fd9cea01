"""Whether a job can be right, before any of its work is done."""

import logging

from apm_exp.core.errors import UsageError, one_line
from apm_exp.core.own_code import own_code_named
from apm_exp.jobs.checks.missing_settings import say_where
from apm_exp.jobs.checks.preflight import check_config, check_inputs, check_work
from apm_exp.jobs.job import Job, is_finished, job_of, known_job
from apm_exp.jobs.request import Request
from apm_exp.pipeline.nodes import samples
from apm_exp.runtime.check_nodes import check_launcher, check_one_machine
from apm_exp.selection.alpha_rules.choose import AUTO

logger = logging.getLogger(__name__)


def check_job(request: Request) -> bool:
    """Check a job; return whether nothing of it is left to do. Raises UsageError."""
    check_settings(request)
    check_machine(request)
    return check_work_of(request)[1]


def check_settings(request: Request) -> None:
    """Check the names, types and ranges of a job. Raises UsageError."""
    try:
        with own_code_named(request.config):
            check_config(request.config)
        check_one_machine(request.config["runtime"])
        _refuse_unused_sampling(request)
    except ValueError as error:
        raise UsageError(say_where(one_line(error), request)) from error


def _refuse_unused_sampling(request: Request) -> None:
    """Raise ValueError for a typed setting of how responses are sampled or paired, if the pipeline samples none."""
    for override in request.overrides:
        name = override.lstrip("+~").partition("=")[0]
        if name.partition(".")[0] in ("generate", "pairing") and not samples(request.config):
            problem = f"pipeline={request.choices['pipeline']} samples no responses"
            raise ValueError(f"{override.lstrip('+')}: {problem}; leave it out, or write pipeline=on_policy")


def check_machine(request: Request) -> None:
    """Check that what starts the ranks is here. Raises UsageError."""
    try:
        check_launcher(request.config["runtime"])
    except ValueError as error:
        raise UsageError(one_line(error)) from error


def check_for_elsewhere(request: Request) -> None:
    """Check what can be known of a job that another machine will do: not its devices, nor what depends on them.

    Raises UsageError.
    """
    here = {"device": "cpu", "processes": 1, "nodes": 1, "launcher": "torchrun"}
    try:
        with own_code_named(request.config):
            check_config(request.config)
            check_one_machine(request.config["runtime"])
            check_inputs({**request.config, "runtime": {**request.config["runtime"], **here}})
    except ValueError as error:
        raise UsageError(say_where(one_line(error), request)) from error


def check_work_of(request: Request) -> tuple[Job, bool]:
    """Check what a job points at; return it, and whether nothing of it is left to do. Raises UsageError.

    What takes the large libraries is not looked at if all the work is done: it was, before that work.
    """
    try:
        with own_code_named(request.config):
            check_inputs(request.config)
            job = known_job(request)
            finished = job is not None and is_finished(job)
            if not finished:
                check_work(request.config)
            job = job or job_of(request)
    except ValueError as error:
        raise UsageError(one_line(error)) from error
    warn_unused_alpha(request)
    warn_unused_alpha_rule(request)
    return job, finished


def warn_unused_alpha(request: Request) -> None:
    """Say so where an alpha was typed that the metric does not have."""
    given = any(override.lstrip("+").startswith("alpha=") for override in request.overrides)
    if given and "alpha" not in request.config["metric"] and "alpha" not in (request.swept or {}):
        logger.warning("alpha=%s: metric=%s has no alpha; ignored", request.config["alpha"], request.choices["metric"])


def warn_unused_alpha_rule(request: Request) -> None:
    """Say so where a rule was typed and alpha is a number."""
    given = any(override.lstrip("+").startswith("alpha_rule") for override in request.overrides)
    alpha, swept = request.config["alpha"], request.swept or {}
    if given and alpha != AUTO and not {"alpha", "alpha_rule"} & swept.keys():
        rule = request.choices.get("alpha_rule")
        logger.warning("alpha_rule=%s: alpha=%s is a number, and no rule is asked; write alpha=auto", rule, alpha)
