"""The tasks of a worker, one function each."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from apm_exp.core.errors import UsageError, one_line
from apm_exp.jobs.ledger import as_recorded, called, settle, settle_by_record
from apm_exp.jobs.request import Request

logger = logging.getLogger(__name__)
_Found = TypeVar("_Found")


def _check(requests: list[Request]) -> None:
    from apm_exp.jobs.checks.check import check_job

    _check_baseline(requests)
    finished = _of_each(check_job, requests)
    for request, is_done in zip(requests, finished, strict=True):
        if request.sweep:
            sweep, root = Path(request.sweep), Path(request.config["output_root"])
            settle(sweep, request.number, finished=is_done and as_recorded(sweep, request.number, root))


def _check_settings(requests: list[Request]) -> None:
    """Do those checks of `_check` that import no large library."""
    from apm_exp.jobs.checks.check import check_settings

    _check_baseline(requests)
    _of_each(check_settings, requests)


def _of_each(check: Callable[[Request], _Found], requests: list[Request]) -> list[_Found]:
    """Return the result of `check` for each job.

    If there are several jobs, an error names every job that it refuses: one line for each reason, of which the last is
    raised.
    """
    results, refused = [], dict[str, list[Request]]()
    for request in requests:
        try:
            results.append(check(request))
        except UsageError as error:
            if len(requests) == 1:
                raise
            refused.setdefault(str(error), []).append(request)
    if not refused:
        return results
    *others, last = (_refusal(jobs, reason) for reason, jobs in refused.items())
    for line in others:
        logger.error("%s", line)
    raise UsageError(last)


def _refusal(jobs: list[Request], reason: str) -> str:
    if len(jobs) == 1:
        return f"{called(jobs[0].number, jobs[0].swept)}: {reason}"
    return f"jobs {', '.join(str(job.number) for job in jobs)}: {reason}"


def _check_baseline(requests: list[Request]) -> None:
    from apm_exp.report.compare.baseline import check_baseline

    try:
        check_baseline(requests[0].config["baseline"], [request.swept or {} for request in requests])
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_for_elsewhere(requests: list[Request]) -> None:
    from apm_exp.jobs.checks.check import check_for_elsewhere

    _check_baseline(requests)
    _of_each(check_for_elsewhere, requests)
    for request in requests:
        if request.sweep:
            settle_by_record(Path(request.sweep), request.number, Path(request.config["output_root"]))


def _plan(requests: list[Request]) -> None:
    from apm_exp.jobs.checks.check import check_settings, check_work_of
    from apm_exp.jobs.plan.plan import for_its_device, plan_job
    from apm_exp.jobs.plan.show import print_plan
    from apm_exp.jobs.plan.sweep_plan import print_sweep_plan

    plans = []
    for request in requests:
        check_settings(request)
        plans.append(plan_job(check_work_of(for_its_device(request))[0]))
    if requests[0].sweep is None:
        print_plan(plans[0])
    else:
        print_sweep_plan(Path(requests[0].sweep), plans)


def _run(requests: list[Request]) -> None:
    from apm_exp.jobs.checks.check import check_machine, check_settings, check_work_of
    from apm_exp.jobs.run import run_job
    from apm_exp.runtime.check_nodes import check_nodes

    for request in requests:
        with _indexed(None if request.sweep else Path(request.config["output_root"])):
            check_settings(request)
            check_machine(request)
            job, finished = check_work_of(request)
            if not finished:
                check_nodes(request.config)
            run_job(job)


@contextmanager
def _indexed(root: Path | None) -> Iterator[None]:
    """Write the index of an output_root at the end of a command, however it ends; not after each job of a sweep."""
    from apm_exp.jobs.index.page import write_index

    try:
        yield
    finally:
        if root is not None:
            write_index(root)


def _clean(requests: list[Request]) -> None:
    from apm_exp.jobs.clean.task import clean

    (request,) = requests
    _check_top_level(request)
    root = Path(request.config["output_root"])
    with _indexed(root):
        clean(root, delete_found=request.config["clean"]["delete"])


def _export(requests: list[Request]) -> None:
    from apm_exp.report.export.other_settings import typed_settings
    from apm_exp.report.export.task import export

    (request,) = requests
    _check_top_level(request)
    typed = typed_settings(request.overrides, request.config)
    export(Path(request.config["output_root"]), _typed(request, "run"), request.config["export"], typed)


def _check_top_level(request: Request) -> None:
    from apm_exp.jobs.checks.top_level import check_top_level

    try:
        check_top_level(request.config)
    except ValueError as error:
        raise UsageError(one_line(error)) from error


def _typed(request: Request, name: str) -> str:
    """Return a setting as it was typed: the end of a run's name may look like a number, as 12e345 does."""
    given = [value for key, _, value in (override.partition("=") for override in request.overrides) if key == name]
    value = request.config[name]
    return value if isinstance(value, str) or not given else given[-1]


def _status(requests: list[Request]) -> None:
    from apm_exp.jobs.sweep.status import print_status

    print_status(requests[0])


def _sweep_report(requests: list[Request]) -> None:
    from apm_exp.jobs.sweep.report import write_report

    with _indexed(Path(str(requests[0].sweep)).parents[1]):
        write_report(requests)


TASKS: Mapping[str, Callable[[list[Request]], None]] = {
    "check": _check,
    "check_settings": _check_settings,
    "check_for_elsewhere": _check_for_elsewhere,
    "plan": _plan,
    "run": _run,
    "clean": _clean,
    "status": _status,
    "export": _export,
    "sweep_report": _sweep_report,
}
