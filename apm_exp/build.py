"""Building a step: once, whatever else wants it; written so that it is whole or not there.

The folder of a step holds `inputs.yaml` (written first), what the stage writes, `provenance.json` and `done` (written
last) or `failed.txt`.
"""

import logging
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from apm_exp.artifact import Artifact, Step, damage, read_done, record_of
from apm_exp.files import write_json, write_text
from apm_exp.provenance import provenance

logger = logging.getLogger(__name__)
_FRAMEWORK_FILES = {"done", "failed.txt"}


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


def _set_damaged_aside(step: Step) -> None:
    """Move a finished artifact that is not as it was written out of the way, with a warning that names the damage."""
    record = record_of(step)
    if record is not None and (found := damage(step, record)):
        aside = step.folder.with_name(f"{step.folder.name}.damaged-{time.time_ns()}")
        step.folder.rename(aside)
        logger.warning("%s: %s; moved to %s and built again", step.folder, found, aside.name)


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
    try:
        write_text(OmegaConf.to_yaml(OmegaConf.create(step.identity)), step.folder / "inputs.yaml")
        how = {name: step.beside[name] for name in ("runtime", "deepspeed") if name in step.beside}
        write_json(provenance() | {"how": how}, step.folder / "provenance.json")
        given = {name: _given(value) for name, value in step.inputs.items()}
        counts = dict(step.stage(step.folder, **given, **step.beside, **also))
        seconds = round(time.monotonic() - started, 3)
        files = _written(step)
    except BaseException as error:
        error.add_note(f"while building {step.folder}")
        _write_failure(step.folder)
        raise
    write_json({"key": step.key, "counts": counts, "seconds": seconds, "files": files}, step.folder / "done")
    return Artifact(step.kind, step.folder, step.key, counts, seconds, reused=False)


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
