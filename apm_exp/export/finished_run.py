"""A finished run, as its record and the records of its steps tell it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.artifact import DONE, changed
from apm_exp.digest import FileDigests
from apm_exp.ending import UsageError
from apm_exp.sealed import Damaged, read_sealed

_NEEDED = ("pairs", "logps", "selection")  # and the policy, where one was to be trained
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
    """name: of its folder. command: the line that made it. steps: by name, evaluations under `evaluation_<name>`.

    A run that was to stop at its selection has no policy and no evaluations.
    """

    name: str
    config: Mapping[str, Any]
    command: str
    steps: Mapping[str, StepRecord]

    @property
    def trained(self) -> bool:
        """Whether the run has trained a policy."""
        return "policy" in self.steps

    @property
    def evaluations(self) -> dict[str, Path]:
        """The folders of the evaluations by name."""
        prefix = "evaluation_"
        return {n.removeprefix(prefix): s.path for n, s in self.steps.items() if n.startswith(prefix)}


def read_run(folder: Path) -> FinishedRun:
    """The run of a folder, with what it was asked for.

    Raises UsageError `run=...` where it did not end well, stopped before its selection, or a step is not as written.
    """
    name = folder.name
    _check_ended(folder, name)
    config = _yaml(folder / "config.yaml")
    needed = _needed(folder, config.get("until"))
    links = [folder / step for step in (*needed, *_ALSO)] + sorted(folder.glob("evaluation_*"))
    digests = FileDigests(folder.parent.parent / ".digests.json")
    steps = {link.name: _step(link, name, digests) for link in links if link.is_symlink() or link.name in needed}
    digests.save()
    return FinishedRun(name, config, (folder / "command.txt").read_text().strip(), steps)


def _needed(folder: Path, until: str | None) -> tuple[str, ...]:
    """The steps that a run must have; UsageError where it was to stop before it selected any pairs."""
    if until == "logps":
        remedy = f"type the line in {folder / 'command.txt'} without until=logps; finished steps are reused"
        raise UsageError(f"run={folder.name}: nothing was selected, as it was to stop at until=logps; {remedy}")
    return _NEEDED if until == "selection" else (*_NEEDED, "policy")


def _check_ended(folder: Path, name: str) -> None:
    remedy = f"the line in {folder / 'command.txt'} goes on with it; or give another run="
    try:
        result = read_sealed(folder / "result.json", "state", "reason")
    except FileNotFoundError:
        raise UsageError(f"run={name}: has not ended; wait for it, or {remedy}") from None
    except Damaged as error:
        raise UsageError(f"run={name}: {error}; {remedy}") from error
    if result["state"] != "done":
        raise UsageError(f"run={name}: {result['state']} ({result['reason']}); {remedy}")


def _step(link: Path, run: str, digests: FileDigests) -> StepRecord:
    remedy = f"the line in {link.parent / 'command.txt'} builds it again"
    folder = link.resolve()
    if not (folder / "done").is_file():
        raise UsageError(f"run={run}: its step {link.name} is gone; {remedy}")
    try:
        record = read_sealed(folder / "done", *DONE)
    except Damaged as error:
        raise UsageError(f"run={run}: its step {link.name}: {error}; {remedy}") from error
    if problem := changed(folder, record["files"], digests):
        raise UsageError(f"run={run}: of its step {link.name}, {problem}; {remedy}")
    provenance = json.loads((folder / "provenance.json").read_text())
    return StepRecord(folder, record["key"], record["counts"], _yaml(folder / "inputs.yaml")["inputs"], provenance)


def _yaml(path: Path) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items()}
