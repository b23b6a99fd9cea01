"""Weights & Biases, as a mirror of what the run writes itself: it never prompts and never fails a run."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

logger = logging.getLogger(__name__)
Log = Callable[[Mapping[str, Any]], None]


def wandb_run(
    config: Mapping[str, Any],
    folder: Path,
    name: str,
    group: str | None,
    swept: Mapping[str, Any],
    *,
    mode: Literal["offline", "online"],
    project: Annotated[str, Field(min_length=1)],
    entity: str | None,
    init_timeout: Annotated[float, Field(gt=0)],
) -> Any:
    """Start a W&B run below `folder`, offline where online cannot be had (one warning), or None where W&B fails.

    WANDB_MODE wins over `mode`. The configuration is plain and resolved; the swept settings stand at its top too.
    """
    wanted = _mode(mode)
    config = dict(config)
    options: dict[str, Any] = {
        "config": config | {_top_name(key, config): value for key, value in swept.items()},
        "project": project,
        "entity": entity,
        "dir": str(folder.absolute()),  # a service of W&B's that runs already has a working directory of its own
        "name": name,
        "group": group,
        "job_type": "run",
        "tags": [f"{key}={value}"[:64] for key, value in swept.items()],
    }
    if wanted == "online":
        run = _start(options, "online", init_timeout)
        if run is not None:
            return run
        logger.warning("W&B cannot be reached or has no login: this run is logged offline (send it later: wandb sync)")
        wanted = "offline"
    return _start(options, wanted, init_timeout)


def _mode(given: str) -> str:
    """WANDB_MODE in W&B's own words, else `given`."""
    wanted = os.environ.get("WANDB_MODE") or given
    wanted = {"run": "online", "shared": "online", "dryrun": "offline"}.get(wanted, wanted)
    if wanted in ("online", "offline", "disabled"):
        return wanted
    logger.warning("WANDB_MODE=%s: not one of online, offline, disabled; tracking.mode=%s is used", wanted, given)
    os.environ["WANDB_MODE"] = given  # W&B reads it too
    return given


def _top_name(key: str, config: Mapping[str, Any]) -> str:
    """A swept setting at the top; a swept group stands beside its node: `metric_option`."""
    return f"{key}_option" if isinstance(config.get(key), Mapping) else key.replace(".", "_")


def _start(options: Mapping[str, Any], mode: str, timeout: float) -> Any:
    import wandb

    if mode == "online" and not _has_login():
        return None
    # The machine's own statistics, code and console are not ours to send.
    ours = {"silent": True, "console": "off", "disable_git": True, "disable_code": True, "x_disable_stats": True}
    try:
        settings = wandb.Settings(init_timeout=timeout, **ours)  # type: ignore[arg-type]
        return wandb.init(mode=mode, settings=settings, reinit="finish_previous", **options)  # type: ignore[arg-type]
    except Exception as error:  # whatever it is, the run goes on without
        logger.debug("wandb.init(mode=%s): %s", mode, error)
        return None


def _has_login() -> bool:
    """Whether a key is there; asking W&B itself would prompt."""
    import netrc

    if os.environ.get("WANDB_API_KEY"):
        return True
    host = re.sub(r"^https?://", "", os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).rstrip("/")
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


@contextmanager
def tracked(start: Callable[[], Any] | None) -> Iterator[Log]:
    """Yield a function that logs a row (`step` in it) or a summary (no `step`), and finish with the exit code."""
    run = start() if start else None
    if start and run is None:
        logger.warning("W&B could not be started: this run is in metrics.jsonl only")
    try:
        yield _logger(run)
    except BaseException:
        _finish(run, 1)
        raise
    _finish(run, 0)


def _logger(run: Any) -> Log:
    def log(row: Mapping[str, Any]) -> None:
        nonlocal run
        try:
            _mirror(run, row)
        except Exception as error:
            run = None
            _warn("log any more, the rest is in metrics.jsonl only", error)

    return log


def _mirror(run: Any, row: Mapping[str, Any]) -> None:
    if run is not None and "step" in row:
        run.log({key: value for key, value in row.items() if key != "step"}, step=int(row["step"]))
    elif run is not None:
        run.summary.update(dict(row))


def _finish(run: Any, exit_code: int) -> None:
    try:
        if run is not None:
            run.finish(exit_code=exit_code)
    except Exception as error:
        _warn("finish its run", error)


def _warn(what: str, error: Exception) -> None:
    """W&B's own failure is a warning, whatever it is."""
    logger.warning("W&B cannot %s: %s", what, " ".join(f"{type(error).__name__}: {error}".split()))
