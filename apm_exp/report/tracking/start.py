"""Start of a W&B run: without prompts, and offline if it cannot be online."""

import logging
import os
from pathlib import Path
from typing import Any

from apm_exp.report.redact import local_folders, without_folders
from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.names import own_settings, run_name, settings_at_top

logger = logging.getLogger(__name__)


def wanted_mode(given: str) -> str:
    """Return online, offline or disabled: WANDB_MODE with its aliases, else `given`."""
    wanted = os.environ.get("WANDB_MODE") or given
    wanted = {"run": "online", "shared": "online", "dryrun": "offline"}.get(wanted, wanted)
    if wanted in ("online", "offline", "disabled"):
        return wanted
    logger.warning("WANDB_MODE=%s: must be online, offline or disabled; tracking.mode=%s is used", wanted, given)
    os.environ["WANDB_MODE"] = given  # W&B reads it too
    return given


def start(options: dict[str, Any], mode: str, timeout: float) -> Any:
    """Start a W&B run; offline with a warning if online fails, None if W&B fails. options: of `wandb.init`."""
    if mode == "online":
        said = ""
        try:
            if has_login():
                return _init(options | {"resume": "allow"}, mode, timeout)
        except Exception as error:
            said = f" ({_short(error)})"
            _give_up_id()
        logger.warning("W&B cannot be reached or has no login: this run is logged offline; wandb sync sends it%s", said)
    try:
        return _init(options, "offline", timeout)
    except Exception as error:  # after any error the job continues without W&B
        logger.warning("W&B could not be started: this run is logged in metrics.jsonl only (%s)", _short(error))
        return None


def _give_up_id() -> None:
    """Stop W&B's service: after a failed start it holds the run's id, and refuses another start with it."""
    import wandb

    try:
        wandb.teardown(exit_code=1)
    except Exception as error:
        logger.debug("wandb.teardown: %s", _short(error))


def job_options(job: TrackedJob) -> dict[str, Any]:
    """Return the arguments of `wandb.init` for a job."""
    swept = [f"{key}={value}" for key, value in job.swept.items()]
    told = {
        "config": {**own_settings(job.config), **settings_at_top(job.config, job.choices, job.swept)},
        "name": run_name(job.swept, job.folder.name),
        "tags": swept,
    }
    told = without_folders(told, local_folders(job.config, job.command))
    return {
        "config": told["config"],
        "name": told["name"][:100],
        "tags": [tag[:64] for tag in told["tags"]],  # W&B refuses longer tags
        "dir": str(job.folder.absolute()),  # a running W&B service has its own working directory
        "group": job.group,
        "job_type": "run",
    }


def _init(options: dict[str, Any], mode: str, timeout: float) -> Any:
    import wandb

    Path(options["dir"]).mkdir(parents=True, exist_ok=True)
    # The machine's name, statistics, paths, packages, code and console output are private.
    ours = {"silent": True, "console": "off", "disable_git": True, "disable_code": True, "x_disable_stats": True}
    ours |= {"x_disable_meta": True, "x_disable_machine_info": True, "x_save_requirements": False, "host": ""}
    ours |= {"sagemaker_disable": True}  # otherwise SageMaker would change the run's id
    os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # it would send the requests of generate=openai to W&B
    settings = wandb.Settings(init_timeout=timeout, **ours)  # type: ignore[arg-type]
    return wandb.init(mode=mode, settings=settings, reinit="finish_previous", **options)  # type: ignore[arg-type]


def has_login() -> bool:
    """Return whether W&B has a key for its server, searched as W&B does; starting a run without one would prompt."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    try:
        return wbauth.read_netrc_auth(host=wandb_setup.singleton().settings.base_url) is not None
    except Exception as error:  # such as an invalid key
        logger.warning("W&B: its login cannot be used (%s)", _short(error))
        return False


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
