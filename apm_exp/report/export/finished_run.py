"""A finished run, read from its record and the records of its steps."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from apm_exp.core.artifact import DONE, changed
from apm_exp.core.digest import FileDigests
from apm_exp.core.errors import UsageError
from apm_exp.core.sealed import Damaged, read_sealed

_NEEDED = ("pairs", "logps", "selection")  # also the policy, if the run was to train one
_ALSO = ("generations", "rewards", "models")


@dataclass(frozen=True)
class StepRecord:
    """A finished step.

    inputs: the inputs of its key, with the digests and commits of what was read. build: the id of the build. made_of:
    the builds of its inputs, by their folders.
    """

    path: Path
    key: str
    counts: Mapping[str, int | float]
    inputs: Mapping[str, Any]
    provenance: Mapping[str, Any]
    build: str | None = None
    made_of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedRun:
    """A finished run.

    name: of its folder. command: its command line. steps: by name, evaluations as `evaluation_<name>`. A run with
    until=selection has no policy and no evaluations.
    """

    name: str
    config: Mapping[str, Any]
    command: str
    steps: Mapping[str, StepRecord]

    @property
    def trained(self) -> bool:
        """Return whether the run has trained a policy."""
        return "policy" in self.steps

    @property
    def evaluations(self) -> dict[str, Path]:
        """Return the folders of the evaluations by name."""
        prefix = "evaluation_"
        return {n.removeprefix(prefix): s.path for n, s in self.steps.items() if n.startswith(prefix)}


def read_run(folder: Path) -> FinishedRun:
    """Read the run of a folder and verify its steps.

    Raises UsageError `run=...` if it did not succeed, stopped before its selection, or if a step's files have changed.
    """
    name = folder.name
    result = _result(folder, name)
    config = _yaml(folder / "config.yaml", name)
    needed = _needed(folder, config.get("until"))
    digests = FileDigests(_root(folder) / ".digests.json")
    steps = {step: _step(place, step, folder, digests) for step, place in _places(folder, result, needed).items()}
    _check_builds(steps, name, folder)
    with suppress(OSError):  # read-only outputs: the digests are not cached
        digests.save()
    return FinishedRun(name, config, _command(folder, result), steps)


def _command(folder: Path, result: Mapping[str, Any]) -> str:
    """Return the command line of a run: from its record, or from command.txt if an earlier version wrote the record."""
    if "command" in result:
        return str(result["command"])
    try:
        return (folder / "command.txt").read_text(errors="replace").strip()
    except OSError:
        raise UsageError(
            f"run={folder.name}: {folder / 'command.txt'} is missing; restore it, or choose another run"
        ) from None


def _needed(folder: Path, until: str | None) -> tuple[str, ...]:
    """Return the steps that a run must have; raises UsageError if it was to stop before the selection."""
    if until == "logps":
        remedy = f"re-run the line in {folder / 'command.txt'} without until=logps; finished steps are reused"
        raise UsageError(f"run={folder.name}: it has no selection, as it stopped at until=logps; {remedy}")
    return _NEEDED if until == "selection" else (*_NEEDED, "policy")


def _root(folder: Path) -> Path:
    """Return the output_root of a run's folder, which is below its `runs` folder."""
    return next((parent.parent for parent in folder.parents if parent.name == "runs"), folder.parent.parent)


def _places(folder: Path, result: Mapping[str, Any], needed: tuple[str, ...]) -> dict[str, Path]:
    """Return the folders of a run's steps by name: from its record, as copies may lose links; else from its links."""
    recorded = result.get("steps") or {}
    names = [*needed, *_ALSO, *sorted(name for name in recorded if name.startswith("evaluation_"))]
    if recorded:
        known = {name: _root(folder) / recorded[name]["folder"] for name in names if name in recorded}
        return {name: folder / name for name in needed} | known
    links = [folder / name for name in (*needed, *_ALSO)] + sorted(folder.glob("evaluation_*"))
    return {link.name: link.resolve() for link in links if link.is_symlink() or link.name in needed}


def _check_builds(steps: Mapping[str, StepRecord], run: str, folder: Path) -> None:
    """Raise UsageError if a step was made from another build of an input than the present one."""
    builds = {f"{step.path.parent.name}/{step.path.name}": step.build for step in steps.values()}
    for name, step in steps.items():
        for earlier, build in step.made_of.items():
            if builds.get(earlier, build) != build:
                remedy = f"the line in {folder / 'command.txt'} rebuilds it"
                raise UsageError(f"run={run}: {earlier} has been rebuilt since its step {name} was built; {remedy}")


def _result(folder: Path, name: str) -> dict[str, Any]:
    """Return the record of a run that has succeeded."""
    remedy = f"re-run the line in {folder / 'command.txt'} to resume it, or choose another run="
    try:
        result = read_sealed(folder / "result.json", "state", "reason")
    except FileNotFoundError:
        raise UsageError(f"run={name}: has not finished; wait for it, or {remedy}") from None
    except Damaged as error:
        raise UsageError(f"run={name}: {error}; {remedy}") from error
    if result["state"] != "done":
        raise UsageError(f"run={name}: {result['state']} ({result['reason']}); {remedy}")
    return result


def _step(place: Path, step: str, folder: Path, digests: FileDigests) -> StepRecord:
    run, remedy = folder.name, f"the line in {folder / 'command.txt'} rebuilds it"
    if not (place / "done").is_file():
        raise UsageError(f"run={run}: its step {step} is missing; {remedy}")
    try:
        record = read_sealed(place / "done", *DONE)
    except Damaged as error:
        raise UsageError(f"run={run}: its step {step}: {error}; {remedy}") from error
    if problem := changed(place, record["files"], digests):
        raise UsageError(f"run={run}: in its step {step}, {problem}; {remedy}")
    provenance = json.loads((place / "provenance.json").read_text())
    inputs = _yaml(place / "inputs.yaml", run)["inputs"]
    made = {"build": record.get("build"), "made_of": record.get("inputs", {})}
    return StepRecord(place, record["key"], record["counts"], inputs, provenance, **made)


def _yaml(path: Path, run: str) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, YAMLError):
        content = None
    if not isinstance(content, dict) or not content:
        raise UsageError(f"run={run}: {path} is damaged; re-run the run's command, or choose another run")
    return {str(name): value for name, value in content.items()}
