"""The record of a run: `runs/<time>-<slug>-<id>/` with what was asked, links to what was used, and the result."""

import logging
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json, write_text
from apm_exp.core.sealed import Damaged, read_sealed, set_aside, write_sealed
from apm_exp.core.step_names import last_of
from apm_exp.jobs.ledger import write_record
from apm_exp.jobs.request import Request
from apm_exp.pipeline.choices import slug
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Seen, Step, read_done
from apm_exp.pipeline.work import Counts
from apm_exp.runtime.provenance import provenance

logger = logging.getLogger(__name__)


def say_of_an_earlier_version(root: Path) -> None:
    """Log a line if the newest run below an output_root has steps of the form that they had before they had states."""
    try:
        steps = read_sealed(root / "runs" / "latest" / "result.json").get("steps") or {}
        earlier = any("state" not in step for step in steps.values())
    except (OSError, Damaged, AttributeError, TypeError):
        return
    if earlier:
        logger.info("%s: is of an earlier version; its steps are built again, and nothing of it is deleted", root)


class RunRecord:
    """The record of a run, on disk from its beginning: how it stands, and each of its steps.

    A step is waiting, running, done, reused, failed or interrupted; one that is there has its counts, its build and its
    seconds, the others have upper bounds of their counts.
    """

    def __init__(self, request: Request, steps: Mapping[str, Step]) -> None:
        policy = last_of(steps, "policy")
        self.request, self.folder = request, run_folder(request, (policy or [*steps.values()][-1]).slug)
        run = self.folder.relative_to(request.config["output_root"]).as_posix()
        self.steps, self.known = steps, _known(steps)
        waiting = {name: self._waiting(step) for name, step in steps.items()}
        state = {
            "number": request.number,
            "swept": request.swept or {},
            "sweep": _name_of(request.sweep),
            "state": "running",
            "reason": None,
        }
        self.content: dict[str, Any] = state | {"command": request.command, "run": run, "steps": waiting}
        self._begin(steps)

    def _begin(self, steps: Mapping[str, Step]) -> None:
        """Write the folder at once, with its configuration, command and provenance; `runs/latest` points at it.

        The steps are linked before they are there: task=clean deletes nothing that a run links to.
        """
        unfinished = self.folder.with_name(f".{self.folder.name}")  # task=clean refuses a run whose record is not there
        unfinished.mkdir(parents=True)
        write_text(OmegaConf.to_yaml(OmegaConf.create(self.request.config)), unfinished / "config.yaml")
        write_text(self.request.command + "\n", unfinished / "command.txt")
        write_json(provenance(), unfinished / "provenance.json")
        write_sealed(self.content, unfinished / "result.json")
        unfinished.rename(self.folder)
        self._write()
        point(self.folder.with_name("latest"), self.folder)
        for name, step in steps.items():
            point(self.folder / name, step.folder)

    def _waiting(self, step: Step) -> dict[str, Any]:
        return {"key": step.key, "folder": step.place, "state": "waiting", "bounds": dict(self.known[step.key])}

    def begin(self, name: str) -> None:
        """Say that a step is running. Its bounds are computed again, as its inputs are finished now."""
        step = self.steps[name]
        if read_done(step) is None:
            self.known[step.key] = STAGES[step.kind].bounds(step.inputs, self.known)
        self.content["steps"][name] = self._waiting(step) | {"state": "running"}
        self._write()

    def made(self, name: str, artifact: Artifact) -> None:
        """Say that a step is there. reused: it was there, or another process made it while this one waited."""
        self.known[artifact.key] = artifact.counts
        self.content["steps"][name] = {
            "key": artifact.key,
            "build": artifact.build,
            "folder": artifact.path.relative_to(self.request.config["output_root"]).as_posix(),
            "seconds": artifact.seconds,
            "counts": dict(artifact.counts),
            "reused": artifact.reused,
            "state": "reused" if artifact.reused else "done",
        }
        self._write()

    def stop(self, state: str) -> None:
        """Say that the step that was worked on failed or was interrupted."""
        for step in self.content["steps"].values():
            step["state"] = state if step["state"] == "running" else step["state"]

    def end(self, result: Mapping[str, Any]) -> None:
        """Write how the run ended."""
        self.content |= result
        self._write()

    def _write(self) -> None:
        """Write how the run stands into its folder, and into its sweep's ledger."""
        write_sealed(self.content, self.folder / "result.json")
        if self.request.sweep:
            write_record(Path(self.request.sweep), self.request.number, self.content)


def _name_of(sweep: str | None) -> str | None:
    return Path(sweep).name if sweep else None


def _known(steps: Mapping[str, Step]) -> dict[str, Counts]:
    """Return the counts of the steps by key, exact if they are there, else bounds."""
    known: dict[str, Counts] = {}
    seen: Seen = {}
    for step in steps.values():
        artifact = read_done(step, seen)
        known[step.key] = artifact.counts if artifact else STAGES[step.kind].bounds(step.inputs, known)
    return known


def run_folder(request: Request, name: str) -> Path:
    """A new name for the folder of a run; nothing is written."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path(request.config["output_root"]) / "runs" / f"{stamp}-{slug(name)}-{uuid.uuid4().hex[:6]}"


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, in one move.

    A folder in its place, as a copy that followed the links has one, is set aside.
    """
    if link.is_dir() and not link.is_symlink():
        logger.warning("%s: was a folder instead of a link; moved to %s", link, set_aside(link).name)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
