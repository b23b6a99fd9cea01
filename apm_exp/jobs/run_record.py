"""The record of a run: `runs/<time>-<slug>-<id>/` with its configuration, links to its steps, and its result."""

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
    """Log a line if the newest run in an output_root was written by an earlier version (its steps have no states)."""
    try:
        steps = read_sealed(root / "runs" / "latest" / "result.json").get("steps") or {}
        earlier = any("state" not in step for step in steps.values())
    except (OSError, Damaged, AttributeError, TypeError):
        return
    if earlier:
        logger.info("%s: was written by an earlier version; steps are rebuilt, and nothing is deleted", root)


class RunRecord:
    """The record of a run, on disk from its beginning: its state, and the state of each of its steps.

    A step is waiting, running, done, reused, failed or interrupted. Finished steps have counts, build and seconds;
    the others have upper bounds of their counts.
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
        """Create the folder with its configuration, command and provenance, and let `runs/latest` point to it.

        Steps are linked before they are built, so that task=clean does not delete them meanwhile.
        """
        unfinished = self.folder.with_name(f".{self.folder.name}")  # task=clean refuses a run without result.json
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
        """Record that a step is running, and compute its bounds again now that its inputs are finished."""
        step = self.steps[name]
        if read_done(step) is None:
            self.known[step.key] = STAGES[step.kind].bounds(step.inputs, self.known)
        self.content["steps"][name] = self._waiting(step) | {"state": "running"}
        self._write()

    def made(self, name: str, artifact: Artifact) -> None:
        """Record that a step is finished: "reused" if it existed, or if another process built it while this waited."""
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
        """Record the state of the running step: failed or interrupted."""
        for step in self.content["steps"].values():
            step["state"] = state if step["state"] == "running" else step["state"]

    def end(self, result: Mapping[str, Any]) -> None:
        """Write the result of the run."""
        self.content |= result
        self._write()

    def _write(self) -> None:
        """Write the present content to the run's folder, and to the ledger of its sweep."""
        write_sealed(self.content, self.folder / "result.json")
        if self.request.sweep:
            write_record(Path(self.request.sweep), self.request.number, self.content)


def _name_of(sweep: str | None) -> str | None:
    return Path(sweep).name if sweep else None


def _known(steps: Mapping[str, Step]) -> dict[str, Counts]:
    """Return the counts of the steps by key: exact if a step is built, else bounds."""
    known: dict[str, Counts] = {}
    seen: Seen = {}
    for step in steps.values():
        artifact = read_done(step, seen)
        known[step.key] = artifact.counts if artifact else STAGES[step.kind].bounds(step.inputs, known)
    return known


def run_folder(request: Request, name: str) -> Path:
    """Return a new path for the folder of a run, without creating it."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path(request.config["output_root"]) / "runs" / f"{stamp}-{slug(name)}-{uuid.uuid4().hex[:6]}"


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, atomically.

    A folder in its place, as in a copy that followed the links, is moved away with a warning.
    """
    if link.is_dir() and not link.is_symlink():
        logger.warning("%s: was a folder instead of a link; moved to %s", link, set_aside(link).name)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
