"""Check a job before any of its work."""

import logging
from collections.abc import Mapping
from typing import Any

from apm_exp.core.errors import UsageError, one_line
from apm_exp.core.own_code import own_code_named
from apm_exp.core.told import told
from apm_exp.jobs.checks.changes import check_changes
from apm_exp.jobs.checks.missing_settings import say_where
from apm_exp.jobs.checks.preflight import check_inputs, check_work
from apm_exp.jobs.checks.ready import check_ready
from apm_exp.jobs.checks.settings import check_config
from apm_exp.jobs.job import Job, is_finished, job_of, known_job
from apm_exp.jobs.request import Request
from apm_exp.pipeline.nodes import has_policy, samples
from apm_exp.runtime.check_nodes import check_launcher, check_one_machine
from apm_exp.selection.alpha_rules.choose import AUTO

logger = logging.getLogger(__name__)
_OF_POLICIES = ("model", "metric", "alpha", "alpha_rule", "keep", "loss", "trainer", "adapter", "deepspeed", "evals")


def check_job(request: Request) -> bool:
    """Check a job, and return whether all its work is done. Raises UsageError."""
    check_settings(request)
    check_machine(request)
    return check_work_of(request)[1]


def check_settings(request: Request) -> None:
    """Check the names, types and ranges of a job's settings. Raises UsageError."""
    try:
        with own_code_named(request.config):
            check_config(request.config)
            check_changes(request.config)
        check_one_machine(request.config["runtime"])
        _refuse_unused_sampling(request)
        _refuse_unreached(request)
        _refuse_unused_training(request)
    except ValueError as error:
        raise UsageError(say_where(one_line(error), request)) from error


def _refuse_unused_sampling(request: Request) -> None:
    """Raise ValueError for an override of `generate`, `pairing` or `evolve` that the pipeline does not use."""
    unused = dict.fromkeys(
        () if samples(request.config) else ("generate", "pairing"), ("samples no responses", "on_policy")
    )
    if not told("pipeline", request.config["pipeline"], "EVOLVES"):
        unused["evolve"] = ("evolves no prompts", "evolve_then_select")
    for override in request.overrides:
        group = override.lstrip("+~").partition("=")[0].partition(".")[0]
        if group in unused:
            lacking, other = unused[group]
            problem = f"pipeline={request.choices['pipeline']} {lacking}"
            remedy = _of_evaluation(override, request.config["evals"] or {}) or "leave it out"
            raise ValueError(f"{override.lstrip('+')}: {problem}; {remedy}, or use pipeline={other}")


def _refuse_unused_training(request: Request) -> None:
    """Raise ValueError for an override of what only selects, trains or evaluates a policy if the pipeline does not."""
    if has_policy(request.config):
        return
    for override in request.overrides:
        group = override.lstrip("+~").partition("=")[0].partition(".")[0].partition("@")[0]
        if group in _OF_POLICIES:
            problem = f"pipeline={request.choices['pipeline']} has no policy and selects no pairs"
            raise ValueError(f"{override.lstrip('+')}: {problem}; leave it out, or use pipeline=offline")


def _of_evaluation(override: str, evals: Mapping[str, Any]) -> str | None:
    """Return the setting to write instead, if an evaluation samples responses with a setting of this name."""
    setting, _, value = override.lstrip("+~").partition("=")
    group, _, name = setting.partition(".")
    sampled = (each for each, node in evals.items() if group == "generate" and name in (node.get("generate") or {}))
    evaluation = next(sampled, None)
    return evaluation and f"write evals.{evaluation}.generate.{name}={value} for the evaluation"


def _refuse_unreached(request: Request) -> None:
    """Raise ValueError for other settings of an iteration that the run does not reach, unless iterations are swept."""
    last, changes = request.config["iterations"], request.config["pipeline"].get("changes") or {}
    beyond = [number for number in changes if number > last]
    if beyond and "iterations" not in (request.swept or {}):
        problem = f"iterations={last} has no iteration {beyond[0]}"
        raise ValueError(f"pipeline.changes: {problem}; leave it out, or give iterations={beyond[0]}")


def check_machine(request: Request) -> None:
    """Check that the launcher of the ranks can be used on this machine. Raises UsageError."""
    try:
        check_launcher(request.config["runtime"])
    except ValueError as error:
        raise UsageError(one_line(error)) from error


def check_for_elsewhere(request: Request) -> None:
    """Check a job that will run on another machine, except for its devices and what depends on them.

    Raises UsageError.
    """
    here = {"device": "cpu", "processes": 1, "nodes": 1, "launcher": "torchrun"}
    try:
        with own_code_named(request.config):
            check_config(request.config)
            check_changes(request.config)
            check_one_machine(request.config["runtime"])
            check_inputs({**request.config, "runtime": {**request.config["runtime"], **here}})
    except ValueError as error:
        raise UsageError(say_where(one_line(error), request)) from error


def check_work_of(request: Request) -> tuple[Job, bool]:
    """Check the inputs and the work of a request; return its job, and whether all its work is done. Raises UsageError.

    The checks that import the large libraries are skipped if all work is done, since they passed before that work.
    """
    try:
        with own_code_named(request.config):
            check_inputs(request.config)
            job = known_job(request)
            finished = job is not None and is_finished(job)
            if not finished:
                check_work(request.config)
            job = job or job_of(request)
            if not finished and request.config["task"] != "plan":
                check_ready(job)
    except ValueError as error:
        raise UsageError(one_line(error)) from error
    warn_unused_alpha(request)
    warn_unused_alpha_rule(request)
    return job, finished


def warn_unused_alpha(request: Request) -> None:
    """Warn if alpha is overridden but the metric has none."""
    given = any(override.lstrip("+").startswith("alpha=") for override in request.overrides)
    if given and "alpha" not in request.config["metric"] and "alpha" not in (request.swept or {}):
        logger.warning("alpha=%s: metric=%s has no alpha; ignored", request.config["alpha"], request.choices["metric"])


def warn_unused_alpha_rule(request: Request) -> None:
    """Warn if alpha_rule is overridden but alpha is a number."""
    given = any(override.lstrip("+").startswith("alpha_rule") for override in request.overrides)
    alpha, swept = request.config["alpha"], request.swept or {}
    if given and alpha != AUTO and not {"alpha", "alpha_rule"} & swept.keys():
        rule = request.choices.get("alpha_rule")
        logger.warning("alpha_rule=%s: alpha=%s is a number, so no rule is used; use alpha=auto", rule, alpha)
