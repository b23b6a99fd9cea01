"""The record of a run: `runs/<time>-<slug>-<id>/` with what was asked, links to what was used, and the result."""

import logging
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.files import write_json, write_text
from apm_exp.ledger import write_record
from apm_exp.pipeline import slug
from apm_exp.provenance import provenance
from apm_exp.sealed import set_aside, write_sealed
from apm_exp.worker import Request

logger = logging.getLogger(__name__)


def run_folder(request: Request, name: str) -> Path:
    """A new name for the folder of a run; nothing is written."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path(request.config["output_root"]) / "runs" / f"{stamp}-{slug(name)}-{uuid.uuid4().hex[:6]}"


def begin_run(request: Request, record: Mapping[str, Any], folder: Path) -> None:
    """Write the run's folder, at once: resolved configuration, command, provenance, and `record`, which names its
    steps. `runs/latest` points at it.
    """
    unfinished = folder.with_name(f".{folder.name}")  # task=clean refuses a run whose record is not there
    unfinished.mkdir(parents=True)
    write_text(OmegaConf.to_yaml(OmegaConf.create(request.config)), unfinished / "config.yaml")
    write_text(request.command + "\n", unfinished / "command.txt")
    write_json(provenance(), unfinished / "provenance.json")
    write_sealed(record, unfinished / "result.json")
    unfinished.rename(folder)
    keep_result(request, record, folder)
    point(folder.with_name("latest"), folder)


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


def keep_result(request: Request, result: Mapping[str, Any], folder: Path) -> None:
    """Write how the run stands into its folder, and into its sweep's ledger."""
    write_sealed(result, folder / "result.json")
    if request.sweep:
        write_record(Path(request.sweep), request.number, result)
