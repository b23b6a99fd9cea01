"""The process that does the work of one job: check, plan or run, from a plain resolved configuration."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.ending import FAILURE, INTERRUPTED, say
from apm_exp.environment import clear_launcher
from apm_exp.escaped import escaped, escaped_lines
from apm_exp.side_by_side import stop_with_command
from apm_exp.stopping import TERMINATED, Stopped, stop_on_sigterm

logger = logging.getLogger(__name__)
TYPED = ("run", "plan", "status", "clean", "export")  # the tasks that a user may name
LINES = "APM_EXP_LINES"  # what each line on the screen begins with, where several jobs write at the same time


@dataclass(frozen=True)
class Request:
    """What the parent asks of a worker. Plain values only: it crosses a process boundary.

    config: resolved. choices: group -> option. overrides: what the user typed. swept: the settings that this job
    does not share with its sweep. sweep: the sweep's folder. command: the line that repeats the job.
    command_id: what all jobs of one command share, and no two commands.
    """

    task: str
    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    command: str
    command_id: str
    number: int = 0
    swept: dict[str, str] | None = None
    sweep: str | None = None


def work(task: str, requests: list[Request], environment: Mapping[str, str]) -> None:
    """The entry of a worker process; ends it with the exit code of `task`, a name in tasks.TASKS.

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
        from apm_exp.tasks import TASKS  # here: the parent has no use for them

        TASKS[task](requests)
    except KeyboardInterrupt:
        logger.error("interrupted; finished steps are kept; re-run the same command to resume")
        sys.exit(INTERRUPTED)
    except Stopped as stopped:
        logger.error("%s", stopped)
        sys.exit(TERMINATED)
    except Exception as error:
        sys.exit(say(error))


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


class _OneLine(logging.LogRecord):
    """A record whose message cannot pass for another line: all that is logged is one, for every handler.

    Our own messages are one line; other packages write several, of which the later ones are indented.
    """

    def getMessage(self) -> str:
        text = super().getMessage()
        return escaped(text) if self.name.startswith("apm_exp") else escaped_lines(text)


class Once(logging.Filter):
    """Lets a warning through the first time: each metric of a report, and each job of a check, has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        new = text not in self.said
        self.said.add(text)
        return new


class _Plain(logging.Formatter):
    """Messages as they are; warnings and errors say so."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        text = text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"
        return os.environ.get(LINES, "") + text


def configure_logging() -> None:
    """Our own lines from INFO on, everyone else's from WARNING on, all on standard error."""
    logging.setLogRecordFactory(_OneLine)
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_Plain("%(message)s"))
    screen.addFilter(Once())
    logging.basicConfig(level=logging.WARNING, handlers=[screen], force=True)
    logging.getLogger("apm_exp").setLevel(logging.INFO)
    logging.captureWarnings(True)
    # These print their retries twice, on handlers of their own; what matters becomes one line of ours.
    for name in ("HF_HUB_VERBOSITY", "DATASETS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    # DeepSpeed warns at import on every machine without a GPU, whether it is used or not.
    logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.getMessage())
