"""Building a step: once, whatever else wants it; written so that it is whole or not there.

The folder of a step holds `inputs.yaml` (written first), what the stage writes, `provenance.json` and `done` (written
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

from omegaconf import OmegaConf

from apm_exp.artifact import Artifact, Seen, Step, damage, earlier_steps, outdated, read_done, record_of
from apm_exp.escaped import escaped_lines
from apm_exp.files import write_json, write_text
from apm_exp.locks import locked, not_read, reading
from apm_exp.provenance import provenance
from apm_exp.sealed import set_aside, write_sealed
from apm_exp.types import Policy

logger = logging.getLogger(__name__)
_FRAMEWORK_FILES = {"done", "failed.txt"}
Given = Mapping[str, Artifact]  # by key


def build(
    step: Step, *, rebuild: bool = False, command: str | None = None, also: Mapping[str, Any] | None = None
) -> Artifact:
    """The artifact of a step, built if it is not there; one process builds, others wait and reuse.

    What it is given is built first if it is not there (any more). rebuild: build again what another command than this
    one (`command`, its id) has built. also: given to the stage beside its inputs. Raises what the stage raises, after
    writing failed.txt.
    """
    with locked(step):
        with _inputs(step) as given:
            _set_aside(step, rebuild=rebuild and _built_by_another(step, command))
            artifact = read_done(step)
            if artifact is not None:
                logger.info("%-12s reused    %s  %s", step.kind, step.folder, _counted(artifact.counts))
                return artifact
            artifact = _build(step, given, command, also or {})
        shutil.rmtree(_replaced(step), ignore_errors=True)
    logger.info("%-12s %6.1f s  %s  %s", step.kind, artifact.seconds, step.folder, _counted(artifact.counts))
    return artifact


def will_rebuild(step: Step, command: str) -> bool:
    """Whether `build` with `rebuild` would build again what is there."""
    return (step.folder / "done").exists() and _built_by_another(step, command)


def _built_by_another(step: Step, command: str | None) -> bool:
    return (record_of(step) or {}).get("command") != command


@contextmanager
def _inputs(step: Step) -> Iterator[Given]:
    """The artifacts that a step is given, which nobody replaces in the block."""
    earlier = earlier_steps(step)
    while True:
        for one in earlier:
            if read_done(one) is None:  # another command is building it again, or was
                build(one)
        with ExitStack() as held:
            for one in earlier:
                held.enter_context(reading(one))
            seen: Seen = {}
            found = {one.key: read_done(one, seen) for one in earlier}
            if None not in found.values():
                yield {key: artifact for key, artifact in found.items() if artifact is not None}
                return


def _set_aside(step: Step, *, rebuild: bool) -> None:
    """Move a finished artifact out of the way that is damaged, made of builds that are gone, or to be built again."""
    record = record_of(step)
    if record is None:
        return
    if problem := damage(step, record):
        aside = step.folder.with_name(f"{step.folder.name}.damaged-{time.time_ns()}")
        logger.warning("%s: %s; moved to %s and built again", step.folder, problem, aside.name)
    elif rebuild or (another := outdated(step, record)):
        aside = _replaced(step)  # kept until there is a new one, however this ends
        shutil.rmtree(aside, ignore_errors=True)
        if not rebuild:
            logger.info("%s: %s has been built again since, and so is this", step.folder, another)
    else:
        return
    with not_read(step):
        step.folder.rename(aside)


def _replaced(step: Step) -> Path:
    return step.folder.with_name(f"{step.folder.name}.replaced")


def _counted(counts: Mapping[str, int | float]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in counts.items())


def _build(step: Step, given: Given, command: str | None, also: Mapping[str, Any]) -> Artifact:
    started = time.monotonic()
    builds = {one.name: build for one in earlier_steps(step) if (build := given[one.key].build)}
    _prepare(step.folder, builds)
    try:
        identity = OmegaConf.create({**step.identity, "builds": builds})
        write_text(OmegaConf.to_yaml(identity), step.folder / "inputs.yaml")
        how = {name: step.beside[name] for name in ("runtime", "deepspeed") if name in step.beside}
        write_json(provenance() | {"how": how}, step.folder / "provenance.json")
        inputs = {name: _given(value, given) for name, value in step.inputs.items()}
        counts = dict(step.stage(step.folder, **inputs, **step.beside, **also))
        seconds = round(time.monotonic() - started, 3)
        files = _written(step)
    except BaseException as error:
        error.add_note(f"while building {step.folder}")
        _write_failure(step.folder)
        raise
    artifact = Artifact(step.kind, step.folder, step.key, counts, seconds, uuid.uuid4().hex, reused=False)
    made = {"key": step.key, "build": artifact.build, "inputs": builds, "command": command}
    write_sealed({**made, "counts": counts, "seconds": seconds, "files": files}, step.folder / "done")
    return artifact


def _prepare(folder: Path, builds: Mapping[str, str]) -> None:
    """Make the folder ready: what an attempt left that was given the same builds stays, for the stage to resume."""
    (folder / "failed.txt").unlink(missing_ok=True)
    for left in folder.rglob(".*.partial"):  # a killed attempt was writing these
        left.unlink()
    if folder.exists() and any(folder.iterdir()) and (begun := _builds_of_attempt(folder)) != builds:
        if begun is None:
            logger.warning("%s: its inputs.yaml is damaged; moved to %s and begun anew", folder, set_aside(folder).name)
        else:
            logger.info("%s: was begun with inputs that have been built again since; begun anew", folder)
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _builds_of_attempt(folder: Path) -> dict[str, str] | None:
    """The builds that an unfinished attempt was given, or None where it does not say; earlier versions knew none."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(folder / "inputs.yaml"))
    except Exception:  # whatever YAML makes of a damaged file
        return None
    return content.get("builds", {}) if isinstance(content, dict) and "stage" in content else None


def _write_failure(folder: Path) -> None:
    """Leave the traceback beside the partial work; a full disk must not hide the first error."""
    try:
        (folder / "failed.txt").write_text(escaped_lines(traceback.format_exc()) + "\n")
    except OSError:
        logger.warning("%s: the failure could not be written down either", folder)


def _given(value: Any, given: Given) -> Any:
    """What the stage receives: steps become the artifacts that they have built."""
    if isinstance(value, Step):
        return given[value.key]
    if isinstance(value, Policy):
        return replace(value, made_by=None)
    if isinstance(value, Mapping) and any(isinstance(item, Step) for item in value.values()):
        return {name: _given(item, given) for name, item in value.items()}
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
