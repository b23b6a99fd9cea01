"""The record of a run: `runs/<time>-<slug>-<id>/` with what was asked, links to what was used, and the result."""

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


def new_run_folder(request: Request, name: str) -> Path:
    """The run's folder, with its resolved configuration, command and provenance; `runs/latest` points at it."""
    runs = Path(request.config["output_root"]) / "runs"
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = runs / f"{stamp}-{slug(name)}-{uuid.uuid4().hex[:6]}"
    folder.mkdir(parents=True)
    write_text(OmegaConf.to_yaml(OmegaConf.create(request.config)), folder / "config.yaml")
    write_text(request.command + "\n", folder / "command.txt")
    write_json(provenance(), folder / "provenance.json")
    point(runs / "latest", folder)
    return folder


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, in one move; a folder in its place, as a copy that followed the
    links has, is set aside.
    """
    if link.is_dir() and not link.is_symlink():
        set_aside(link)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)


def keep_result(request: Request, result: Mapping[str, Any], folder: Path) -> None:
    """Write how the run stands into its folder, and into its sweep's ledger."""
    write_sealed(result, folder / "result.json")
    if request.sweep:
        write_record(Path(request.sweep), request.number, result)
