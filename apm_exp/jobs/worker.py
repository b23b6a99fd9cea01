"""The process that does the work of one job: check, plan or run, from a plain resolved configuration."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from apm_exp.core.console import configure_logging
from apm_exp.core.environment import clear_launcher
from apm_exp.core.errors import FAILURE, INTERRUPTED, INTERRUPTION, STANDARD_OUTPUT, TERMINATED, Stopped, say
from apm_exp.jobs.request import Request
from apm_exp.runtime.command_lock import stop_with_command
from apm_exp.runtime.signals import stop_on_sigterm

logger = logging.getLogger(__name__)


def work(task: str, requests: list[Request], environment: Mapping[str, str]) -> None:
    """Run a task in a worker process; ends it with the exit code of `task`, a name in tasks.TASKS.

    environment: what is set in this process's before anything else.
    """
    clear_launcher()
    os.environ |= environment  # CUDA, which reads its own when it is first used, was not yet
    _die_with_parent()
    configure_logging()
    try:
        stop_on_sigterm()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # held back while it started
        stop_with_command()
        from apm_exp.jobs.tasks import TASKS  # here: the parent has no use for them

        TASKS[task](requests)
    except KeyboardInterrupt:
        logger.error(INTERRUPTION)
        sys.exit(INTERRUPTED)
    except Stopped as stopped:
        logger.error("%s", stopped)
        sys.exit(TERMINATED)
    except Exception as error:
        code = say(error)
        if isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or error.filename == STANDARD_OUTPUT):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to print would be a second error
        sys.exit(code)


def _die_with_parent() -> None:
    """End this process when the parent is gone: a killed command must leave no work behind."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(FAILURE)

    threading.Thread(target=watch, daemon=True).start()
