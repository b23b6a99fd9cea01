"""What lies where a step is to be built and cannot be used: moved out of the way, or removed."""

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
    """Move a finished artifact out of the way that is damaged, made of builds that are gone, or to be built again."""
    record = record_of(step)
    if record is None:
        return
    if problem := damage(step, record):
        with not_read(step):
            logger.warning("%s: %s; moved to %s and built again", step.folder, problem, set_aside(step.folder).name)
    elif rebuild or (another := outdated(step, record)):
        aside = replaced(step)  # kept until there is a new one, however this ends
        shutil.rmtree(aside, ignore_errors=True)
        if not rebuild:
            logger.info("%s: %s has been built again since, so this is built again too", step.folder, another)
        with not_read(step):
            step.folder.rename(aside)


def replaced(step: Step) -> Path:
    """Where a finished artifact is kept until a new one is there."""
    return step.folder.with_name(f"{step.folder.name}.replaced")


def refuse_edited(step: Step) -> None:
    """Raise ValueError, with what was made set aside, where an input was edited meanwhile."""
    if what := edited(step):
        aside = set_aside(step.folder)
        problem = f"was edited while the step {step.kind} read it, so what that made is of neither content"
        raise ValueError(f"{what}: {problem} (moved to {aside}); type the command again")


def prepare(step: Step, builds: Mapping[str, str]) -> None:
    """Make the step's folder ready, with its inputs.yaml: what an attempt left that was given the same builds stays,
    for the stage to resume.
    """
    folder = step.folder
    (folder / "failed.txt").unlink(missing_ok=True)
    for left in folder.rglob(".*.partial"):  # a killed attempt was writing these
        left.unlink()
    if folder.exists() and any(folder.iterdir()) and (begun := _builds_of_attempt(step)) != builds:
        if begun is None:
            logger.warning("%s: its inputs.yaml is damaged; moved to %s and begun anew", folder, set_aside(folder).name)
        else:
            logger.info("%s: was begun with inputs that have been built again since; begun anew", folder)
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def write_inputs(step: Step, builds: Mapping[str, str]) -> None:
    """Write inputs.yaml: what the step's key is made of, and of which builds of its inputs it is made."""
    write_text(_inputs(step, builds), step.folder / _INPUTS)


def _builds_of_attempt(step: Step) -> dict[str, str] | None:
    """The builds that an unfinished attempt was given; None where inputs.yaml is not whole, as it was written."""
    try:
        text = (step.folder / _INPUTS).read_text(encoding="utf-8")
        content: Any = OmegaConf.to_container(OmegaConf.create(text))
        begun: dict[str, str] = content["builds"]
        whole = text == _inputs(step, begun)
    except Exception:  # whatever YAML makes of a damaged file
        return None
    return begun if whole and all(_BUILD.fullmatch(build) for build in begun.values()) else None


def _inputs(step: Step, builds: Mapping[str, str]) -> str:
    return OmegaConf.to_yaml(OmegaConf.create({**step.identity, "builds": dict(builds)}))


def moved_aside(error: OSError, folder: Path) -> bool:
    """Whether an attempt is to be begun anew, as a folder lies in the place of one of its files, or the other way
    around (a copy of outputs, a hand): what is left of it is set aside, with a warning.
    """
    name = error.filename2 or error.filename
    if name is None or not Path(name).absolute().is_relative_to(folder.absolute()) or not folder.exists():
        return False
    aside = set_aside(folder).name
    logger.warning(
        "%s: %s, where it must not be; the folder of the step is moved to %s and begun anew",
        name,
        (error.strerror or "").lower(),
        aside,
    )
    return True
