"""Steps and artifacts: a stage with its inputs, named by the hash of exactly what it is given, built once.

A folder `<output_root>/<kind>/<slug>-<key8>/` holds `inputs.yaml` (written first), what the stage writes,
`provenance.json` and `done` (written last: the full key, the counts, and every file's size and sha256) or
`failed.txt`. A folder without `done` is resumed by the stage or overwritten, never read.
"""

import inspect
import json
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from apm_exp import component
from apm_exp.digest import FileDigests, canonical, local_paths, text_digest
from apm_exp.files import write_json, write_text
from apm_exp.provenance import provenance
from apm_exp.types import Policy

logger = logging.getLogger(__name__)
_FRAMEWORK_FILES = {"done", "failed.txt"}


@dataclass(frozen=True)
class Artifact:
    """A finished step: where its files are, what identifies them, and the counts that its stage returned."""

    kind: str
    path: Path
    key: str
    counts: Mapping[str, int | float]
    seconds: float


@dataclass(frozen=True, eq=False)
class Step:
    """A stage and what it is given.

    inputs: hashed into the key (nodes, earlier steps, policies, numbers). beside: how it is run, never hashed.
    """

    kind: str
    slug: str
    stage: Callable[..., Mapping[str, int | float]]
    inputs: Mapping[str, Any]
    root: Path
    digests: FileDigests
    beside: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What is hashed: the stage's name and version, and the identity of each input."""
        version = inspect.getmodule(self.stage).VERSION  # type: ignore[union-attr]
        inputs = {name: _identity(value, self.digests) for name, value in self.inputs.items()}
        return {"stage": self.stage.__name__, "version": version, "inputs": inputs}

    @cached_property
    def key(self) -> str:
        """sha256 of the identity."""
        return text_digest(canonical(self.identity))

    @property
    def folder(self) -> Path:
        """Where the artifact lies."""
        return self.root / self.kind / f"{self.slug}-{self.key[:8]}"


def _identity(value: Any, digests: FileDigests) -> Any:
    if isinstance(value, Step):
        return {"artifact": value.key}
    if isinstance(value, Policy):
        template = text_digest(value.chat_template) if value.chat_template else None
        settings = {"dtype": value.dtype, "attention": value.attention, "chat_template": template}
        return {"policy": value.key, **settings}
    if isinstance(value, Mapping):
        return _node_identity(value, digests)
    if isinstance(value, list | tuple):
        return [_identity(item, digests) for item in value]
    return value


def _node_identity(node: Mapping[str, Any], digests: FileDigests) -> dict[str, Any]:
    """A node is its values, the content of the files that a `path` names, and its component's source."""
    identity = {key: _identity(value, digests) for key, value in node.items()}
    if paths := local_paths(node.get("path")):
        identity["path"] = [digests.of_path(path) for path in paths]
    if "_target_" in node:
        source = inspect.getsourcefile(component.locate("config", node))
        identity["_source_"] = digests.of_file(Path(str(source)))
    return identity


def read_done(step: Step) -> Artifact | None:
    """The finished artifact of a step, or None where there is none that is whole; only looks."""
    record = _record(step)
    if record is None or _damage(step, record):
        return None
    return Artifact(step.kind, step.folder, step.key, record["counts"], record["seconds"])


def _record(step: Step) -> dict[str, Any] | None:
    """What `done` says; a record of no key where it cannot be read, None where it is not there."""
    try:
        return json.loads((step.folder / "done").read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return {"key": None}


def _damage(step: Step, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a finished artifact, or None: every file must be as it was written."""
    if record["key"] != step.key:
        return "its record 'done' is damaged or of another key"
    for name, expected in record["files"].items():
        path = step.folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"] or step.digests.of_file(path) != expected["sha256"]:
            return f"{name} has changed since it was written"
    return None


def _set_damaged_aside(step: Step) -> None:
    """Move a finished artifact that is not as it was written out of the way, with a warning that names the damage."""
    record = _record(step)
    if record is not None and (damage := _damage(step, record)):
        aside = step.folder.with_name(f"{step.folder.name}.damaged-{time.time_ns()}")
        step.folder.rename(aside)
        logger.warning("%s: %s; moved to %s and built again", step.folder, damage, aside.name)


def follows(step: Step, kind: str, steps: Mapping[str, Step]) -> bool:
    """Whether a step is of a kind, or is given something that follows from one. steps: all of them by key."""
    return step.kind == kind or any(follows(earlier, kind, steps) for earlier in _earlier(step.inputs, steps))


def _earlier(inputs: Mapping[str, Any], steps: Mapping[str, Step]) -> Iterator[Step]:
    for value in inputs.values():
        if isinstance(value, Step):
            yield value
        elif isinstance(value, Policy) and value.key in steps:
            yield steps[value.key]
        elif isinstance(value, Mapping):
            yield from _earlier(value, steps)


def built_after(step: Step, moment: float) -> bool:
    """Whether the step was finished after `moment` (seconds since 1970)."""
    done = step.folder / "done"
    return done.exists() and done.stat().st_mtime >= moment


def build(step: Step, *, rebuild_since: float | None = None, also: Mapping[str, Any] | None = None) -> Artifact:
    """The artifact of a step, built if it is not there; one process builds, others wait and reuse.

    rebuild_since: build again what was finished before that moment. also: given to the stage beside its inputs.
    Raises what the stage raises, after writing failed.txt.
    """
    with _locked(step):
        replaced = step.folder.with_name(f"{step.folder.name}.replaced")
        if rebuild_since is not None and (step.folder / "done").exists() and not built_after(step, rebuild_since):
            shutil.rmtree(replaced, ignore_errors=True)
            step.folder.rename(replaced)  # kept until there is a new one, however this ends
        _set_damaged_aside(step)
        artifact = read_done(step)
        if artifact is not None:
            logger.info("%-12s reused    %s  %s", step.kind, step.folder, _counted(artifact.counts))
            return artifact
        artifact = _build(step, also or {})
        shutil.rmtree(replaced, ignore_errors=True)
    logger.info("%-12s %6.1f s  %s  %s", step.kind, artifact.seconds, step.folder, _counted(artifact.counts))
    return artifact


@contextmanager
def _locked(step: Step) -> Iterator[None]:
    """Hold the step's lock; says so where another process has it."""
    locks = step.root / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{step.kind}-{step.key[:16]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("%-12s waiting for another process that builds %s", step.kind, step.folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _counted(counts: Mapping[str, int | float]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in counts.items())


def _build(step: Step, also: Mapping[str, Any]) -> Artifact:
    started = time.monotonic()
    step.folder.mkdir(parents=True, exist_ok=True)
    (step.folder / "failed.txt").unlink(missing_ok=True)
    for left in step.folder.rglob(".*.partial"):  # a killed attempt was writing these
        left.unlink()
    write_text(OmegaConf.to_yaml(OmegaConf.create(step.identity)), step.folder / "inputs.yaml")
    write_json(provenance(), step.folder / "provenance.json")
    try:
        given = {name: _given(value) for name, value in step.inputs.items()}
        counts = dict(step.stage(step.folder, **given, **step.beside, **also))
        seconds = round(time.monotonic() - started, 3)
        files = _written(step)
    except BaseException as error:
        error.add_note(f"while building {step.folder}")
        _write_failure(step.folder)
        raise
    write_json({"key": step.key, "counts": counts, "seconds": seconds, "files": files}, step.folder / "done")
    return Artifact(step.kind, step.folder, step.key, counts, seconds)


def _write_failure(folder: Path) -> None:
    """Leave the traceback beside the partial work; a full disk must not hide the first error."""
    try:
        (folder / "failed.txt").write_text(traceback.format_exc())
    except OSError:
        logger.warning("%s: the failure could not be written down either", folder)


def _given(value: Any) -> Any:
    """What the stage receives: steps become the artifacts that they have built."""
    if isinstance(value, Step):
        artifact = read_done(value)
        assert artifact is not None, f"{value.folder} is used before it is built"
        return artifact
    if isinstance(value, Mapping) and any(isinstance(item, Step) for item in value.values()):
        return {name: _given(item) for name, item in value.items()}
    return value


def _written(step: Step) -> dict[str, dict[str, Any]]:
    files = (p for p in sorted(step.folder.rglob("*")) if p.is_file() and p.name not in _FRAMEWORK_FILES)
    return {
        str(path.relative_to(step.folder)): {
            "size": path.stat().st_size,
            "sha256": step.digests.of_file(path),
        }
        for path in files
    }
