"""What a finished job says of itself to those who compare it with others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.artifact import Artifact, Step
from apm_exp.worker import Request


def beginning(request: Request, folder: Path, steps: Mapping[str, Step]) -> dict[str, Any]:
    """What is known of a job before its work. run: its record's folder, relative to output_root.

    steps: what it is going to use, by name, whether it is there or not; links to them may get lost where outputs are
    copied.
    """
    used = {name: {"key": step.key, "folder": step.name} for name, step in steps.items()}
    run = folder.relative_to(request.config["output_root"])
    record = {"number": request.number, "swept": request.swept or {}, "state": "running", "reason": None}
    return record | {"command": request.command, "run": run.as_posix(), "steps": used}


def nothing_known() -> dict[str, Any]:
    """The result of a job that has none: it waits, was killed, failed, or was to stop before training."""
    return {"scores": {}, "kept": None, "trained": None, "policy_key": None, "report": None, "seconds": None}


def settings_compared(config: Mapping[str, Any], alpha: float | None) -> dict[str, Any]:
    """What a comparison of jobs needs to know of their settings. alpha: the metric's, the number where it is auto."""
    names = ("metric", "keep", "baseline", "trusted_packages")
    compared = {name: config[name] for name in names}
    number = {} if alpha is None else {"alpha": alpha}
    return compared | {"metric": {**config["metric"], **number}} | {"alpha": alpha}


def step_records(artifacts: Mapping[str, Artifact], root: Path) -> dict[str, dict[str, Any]]:
    """Of each step by name: key, build, folder relative to `root` (output_root), seconds of making, counts, `reused`.

    reused: it was there, or another process made it while this one waited.
    """
    return {
        name: {
            "key": one.key,
            "build": one.build,
            "folder": one.path.relative_to(root).as_posix(),
            "seconds": one.seconds,
            "counts": dict(one.counts),
            "reused": one.reused,
        }
        for name, one in artifacts.items()
    }
