"""A finished run, as its record and the records of its steps tell it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.artifact import changed
from apm_exp.digest import FileDigests
from apm_exp.ending import UsageError

_NEEDED = ("pairs", "logps", "selection", "policy")
_ALSO = ("generations", "rewards", "models")


@dataclass(frozen=True)
class StepRecord:
    """A finished step. inputs: what its key was made from, with the digests and commits of what was read."""

    path: Path
    key: str
    counts: Mapping[str, int | float]
    inputs: Mapping[str, Any]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class FinishedRun:
    """name: of its folder. command: the line that made it. steps: by name, evaluations under `evaluation_<name>`."""

    name: str
    config: Mapping[str, Any]
    command: str
    steps: Mapping[str, StepRecord]

    @property
    def evaluations(self) -> dict[str, Path]:
        """The folders of the evaluations by name."""
        prefix = "evaluation_"
        return {n.removeprefix(prefix): s.path for n, s in self.steps.items() if n.startswith(prefix)}


def read_run(folder: Path) -> FinishedRun:
    """The run of a folder; UsageError `run=...` where it did not end well, or a step is not as it was written."""
    name = folder.name
    _check_ended(folder, name)
    links = [folder / step for step in (*_NEEDED, *_ALSO)] + sorted(folder.glob("evaluation_*"))
    digests = FileDigests(folder.parent.parent / ".digests.json")
    steps = {link.name: _step(link, name, digests) for link in links if link.is_symlink() or link.name in _NEEDED}
    digests.save()
    return FinishedRun(name, _yaml(folder / "config.yaml"), (folder / "command.txt").read_text().strip(), steps)


def _check_ended(folder: Path, name: str) -> None:
    remedy = f"the line in {folder / 'command.txt'} goes on with it; or give another run="
    try:
        result = json.loads((folder / "result.json").read_text())
    except FileNotFoundError:
        raise UsageError(f"run={name}: has not ended; wait for it, or {remedy}") from None
    if result["state"] != "done":
        raise UsageError(f"run={name}: {result['state']} ({result['reason']}); {remedy}")


def _step(link: Path, run: str, digests: FileDigests) -> StepRecord:
    remedy = f"the line in {link.parent / 'command.txt'} builds it again"
    folder = link.resolve()
    if not (folder / "done").is_file():
        raise UsageError(f"run={run}: its step {link.name} is gone; {remedy}")
    record = json.loads((folder / "done").read_text())
    if problem := changed(folder, record["files"], digests):
        raise UsageError(f"run={run}: of its step {link.name}, {problem}; {remedy}")
    provenance = json.loads((folder / "provenance.json").read_text())
    return StepRecord(folder, record["key"], record["counts"], _yaml(folder / "inputs.yaml")["inputs"], provenance)


def _yaml(path: Path) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items()}
