"""Build a step once, even if several processes need it, so that its artifact is either complete or absent.

The folder of a step has `inputs.yaml` (written first), the files of the stage, `provenance.json`, and `done` (written
last) or `failed.txt`.
"""

import logging
import shutil
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.escaped import escaped_lines
from apm_exp.core.files import write_json
from apm_exp.core.own_code import own_code_named
from apm_exp.core.sealed import write_sealed
from apm_exp.core.types import Policy
from apm_exp.pipeline.edited import edited
from apm_exp.pipeline.locks import locked, reading
from apm_exp.pipeline.performed import performed
from apm_exp.pipeline.room import make_room, moved_aside, prepare, refuse_edited, replaced, write_inputs
from apm_exp.pipeline.step import Seen, Step, earlier_steps, read_done, record_of
from apm_exp.runtime.provenance import provenance

logger = logging.getLogger(__name__)
_FRAMEWORK_FILES = {"done", "failed.txt"}
Given = Mapping[str, Artifact]  # by key


def build(
    step: Step,
    *,
    rebuild: bool = False,
    command: str | None = None,
    also: Mapping[str, Any] | None = None,
) -> Artifact:
    """Return the artifact of a step, which is built if it does not exist; one process builds, others wait and reuse.

    Missing inputs are built first. rebuild: build an existing artifact again, unless this command (`command`, its id)
    has built it. also: further arguments of the stage, besides its inputs. Raises what the stage raises, after writing
    failed.txt.
    """
    with locked(step):
        with artifacts(*earlier_steps(step)) as given:
            make_room(step, rebuild=rebuild and _built_by_another(step, command))
            artifact = read_done(step)
            if artifact is not None:
                return artifact
            begun = step.folder.exists()
            try:
                artifact = _build(step, given, command, also or {})
            except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                if not begun or not moved_aside(error, step.folder):
                    raise
                artifact = _build(step, given, command, also or {})
        shutil.rmtree(replaced(step), ignore_errors=True)
    logger.info("%-12s %6.1f s  %s  %s", step.name, artifact.seconds, step.folder, _counted(artifact.counts))
    return artifact


def wants_rebuild(config: Mapping[str, Any], step: Step) -> bool:
    """Return whether `rebuild` names a step or its kind; the steps that depend on it are then built again too."""
    return config["rebuild"] in ("all", step.kind, step.name)


def will_rebuild(step: Step, command: str) -> bool:
    """Return whether `build` with `rebuild` would build an existing artifact again."""
    return (step.folder / "done").exists() and _built_by_another(step, command)


def _built_by_another(step: Step, command: str | None) -> bool:
    return (record_of(step) or {}).get("command") != command


@contextmanager
def artifacts(*steps: Step) -> Iterator[Given]:
    """Yield the artifacts of steps, which no process replaces inside the block; missing ones are built first."""
    while True:
        for step in steps:
            if read_done(step) is None:  # another command is rebuilding it, or has stopped while it did
                build(step)
        with ExitStack() as held:
            for step in steps:
                held.enter_context(reading(step))
            seen: Seen = {}
            finished = {step.key: read_done(step, seen) for step in steps}
            if None not in finished.values():
                yield {key: artifact for key, artifact in finished.items() if artifact is not None}
                return


def _counted(counts: Mapping[str, int | float]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in counts.items())


def _build(step: Step, given: Given, command: str | None, also: Mapping[str, Any]) -> Artifact:
    started = time.monotonic()
    if what := edited(step):
        raise ValueError(f"{what}: was edited after this command read it; run the command again")
    builds = {each.place: build for each in earlier_steps(step) if (build := given[each.key].build)}
    prepare(step, builds)
    try:
        write_inputs(step, builds)
        how = {name: step.beside[name] for name in ("runtime", "deepspeed") if name in step.beside}
        write_json(provenance() | {"how": how}, step.folder / "provenance.json")
        inputs = {name: _given(value, given) for name, value in step.inputs.items()}
        with own_code_named(step.inputs):
            counts = dict(step.stage(step.folder, **inputs, **step.beside, **also))
        seconds = round(time.monotonic() - started, 3)
        files = _written(step)
    except BaseException as error:
        error.add_note(f"while building {step.folder}")
        _write_failure(step.folder)
        raise
    refuse_edited(step)
    artifact = Artifact(step.kind, step.folder, step.key, counts, seconds, uuid.uuid4().hex, reused=False)
    made: dict[str, Any] = {"key": step.key, "build": artifact.build, "inputs": builds, "command": command}
    made |= {"performed": load} if (load := performed(step, counts)) else {}
    write_sealed({**made, "counts": counts, "seconds": seconds, "files": files}, step.folder / "done")
    return artifact


def _write_failure(folder: Path) -> None:
    """Write the traceback to failed.txt; if that fails too (full disk), warn, so that the first error is raised."""
    try:
        (folder / "failed.txt").write_text(escaped_lines(traceback.format_exc()) + "\n")
    except OSError:
        logger.warning("%s: failed.txt could not be written either", folder)


def _given(value: Any, given: Given) -> Any:
    """Return a value as the stage receives it: each step is replaced by its artifact."""
    if isinstance(value, Step):
        return given[value.key]
    if isinstance(value, Policy):
        return replace(value, made_by=None)
    if isinstance(value, Mapping):
        return {name: _given(item, given) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_given(item, given) for item in value]
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
