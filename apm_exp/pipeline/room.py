"""Prepare the folder of a step: move or remove artifacts and partial work that cannot be used."""

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.files import write_text
from apm_exp.core.sealed import set_aside
from apm_exp.pipeline.edited import edited
from apm_exp.pipeline.locks import not_read
from apm_exp.pipeline.step import Step, damage, outdated, record_of

logger = logging.getLogger(__name__)
_INPUTS = "inputs.yaml"
_BUILD = re.compile("[0-9a-f]{32}")


def make_room(step: Step, *, rebuild: bool) -> None:
    """Move a finished artifact away if it is damaged or outdated, or if `rebuild`."""
    record = record_of(step)
    if record is None:
        return
    if problem := damage(step, record):
        with not_read(step):
            logger.warning("%s: %s; moved to %s and built again", step.folder, problem, set_aside(step.folder).name)
    elif rebuild or (another := outdated(step, record)):
        aside = replaced(step)  # kept until the new artifact is finished, even if building it fails
        shutil.rmtree(aside, ignore_errors=True)
        if not rebuild:
            logger.info("%s: %s has been built again since, so this is built again too", step.folder, another)
        with not_read(step):
            step.folder.rename(aside)


def replaced(step: Step) -> Path:
    """Return the folder in which a finished artifact is kept until the new one is finished."""
    return step.folder.with_name(f"{step.folder.name}.replaced")


def refuse_edited(step: Step) -> None:
    """If an input was edited while the step was built, move the step's folder away and raise ValueError."""
    if what := edited(step):
        aside = set_aside(step.folder)
        problem = f"was edited while the step {step.kind} read it, so the result may mix old and new content"
        raise ValueError(f"{what}: {problem} (moved to {aside}); run the command again")


def prepare(step: Step, builds: Mapping[str, str]) -> None:
    """Create the step's folder, or clean it: partial work is kept to resume from if its inputs are of the same builds.

    builds: the build of each input, by its place.
    """
    folder = step.folder
    (folder / "failed.txt").unlink(missing_ok=True)
    for left in folder.rglob(".*.partial"):  # a killed attempt was writing these
        left.unlink()
    if folder.exists() and any(folder.iterdir()) and (begun := _builds_of_attempt(step)) != builds:
        if begun is None:
            aside = set_aside(folder).name
            logger.warning("%s: its inputs.yaml is damaged; moved to %s and started again", folder, aside)
        else:
            logger.info("%s: its inputs have been rebuilt since it was started; started again", folder)
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def write_inputs(step: Step, builds: Mapping[str, str]) -> None:
    """Write inputs.yaml: what the step's key is computed from, and the builds of its inputs."""
    write_text(_inputs(step, builds), step.folder / _INPUTS)


def _builds_of_attempt(step: Step) -> dict[str, str] | None:
    """Return the builds that an unfinished attempt was given; None if inputs.yaml is damaged."""
    try:
        text = (step.folder / _INPUTS).read_text(encoding="utf-8")
        content: Any = OmegaConf.to_container(OmegaConf.create(text))
        begun: dict[str, str] = content["builds"]
        whole = text == _inputs(step, begun)
    except Exception:  # parsing a damaged file can raise anything
        return None
    return begun if whole and all(_BUILD.fullmatch(build) for build in begun.values()) else None


def _inputs(step: Step, builds: Mapping[str, str]) -> str:
    return OmegaConf.to_yaml(OmegaConf.create({**step.identity, "builds": dict(builds)}))


def moved_aside(error: OSError, folder: Path) -> bool:
    """Move the folder away, with a warning, if the error says that a folder is in the place of a file or vice versa.

    This can come from copying or editing outputs by hand. Returns whether it was moved, so that the step can be started
    again.
    """
    name = error.filename2 or error.filename
    if name is None or not Path(name).absolute().is_relative_to(folder.absolute()) or not folder.exists():
        return False
    aside = set_aside(folder).name
    logger.warning(
        "%s: %s, which the stage does not expect; the folder of the step is moved to %s and started again",
        name,
        (error.strerror or "").lower(),
        aside,
    )
    return True
