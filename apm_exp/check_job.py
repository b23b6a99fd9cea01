"""The checks of one job, before any of its work."""

import logging

from apm_exp.job import is_finished
from apm_exp.preflight import check_config, check_inputs, check_work
from apm_exp.worker import Request, UsageError, one_line

logger = logging.getLogger(__name__)


def check_job(request: Request) -> bool | None:
    """Check a job's configuration and what it points at; returns check_inputs. Raises UsageError.

    What takes the large libraries is not looked at where all the work is done: it was, before that work.
    """
    try:
        check_config(request.config)
        with_rewards = check_inputs(request.config)
        if not is_finished(request, with_rewards):
            check_work(request.config, with_rewards)
    except ValueError as error:
        raise UsageError(one_line(error)) from error
    warn_unused_alpha(request)
    return with_rewards


def warn_unused_alpha(request: Request) -> None:
    """Say so where an alpha was typed that the metric does not have."""
    given = any(override.lstrip("+").startswith("alpha=") for override in request.overrides)
    if given and "alpha" not in request.config["metric"] and "alpha" not in (request.swept or {}):
        logger.warning("alpha=%s: metric=%s has no alpha; ignored", request.config["alpha"], request.choices["metric"])
