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
from apm_exp.core.step_names import evaluations_of, last_of


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

    name: of its folder. command: its command line. steps: by name, in the order in which they were built. A run with
    until=selection has no policy and no evaluations.
    """

    name: str
    config: Mapping[str, Any]
    command: str
    steps: Mapping[str, StepRecord]

    @property
    def policy(self) -> StepRecord | None:
        """Return the policy that was trained last; None if the run has trained none."""
        return last_of(self.steps, "policy")

    @property
    def evaluations(self) -> dict[str, Path]:
        """Return the folders of the evaluations of the last policy by name."""
        return {name: step.path for name, step in evaluations_of(self.steps).items()}


def read_run(folder: Path) -> FinishedRun:
    """Read the run of a folder and verify its steps.

    Raises UsageError `run=...` if it did not succeed, was made by an earlier version, stopped before its selection, or
    if a step's files have changed.
    """
    name = folder.name
    result = _result(folder, name)
    config = _yaml(folder / "config.yaml", name)
    recorded = _recorded(folder, result, config.get("until"))
    digests = FileDigests(_root(folder) / ".digests.json")
    steps = {step: _step(_root(folder) / each["folder"], step, folder, digests) for step, each in recorded.items()}
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


def _recorded(folder: Path, result: Mapping[str, Any], until: str | None) -> dict[str, Mapping[str, Any]]:
    """Return the steps of a run's record, except its page. Links are not used, as copies may lose them.

    Raises UsageError for a record of an earlier version, whose steps have no states, and if nothing was selected.
    """
    line = f"the line in {folder / 'command.txt'}"
    steps = {name: step for name, step in (result.get("steps") or {}).items() if name != "report"}
    if not steps or any("state" not in step for step in steps.values()):
        raise UsageError(
            f"run={folder.name}: was made by an earlier version, whose steps have other names; {line} rebuilds it"
        )
    if last_of(steps, "selection") is None:
        remedy = f"re-run {line} without until={until}; finished steps are reused"
        raise UsageError(f"run={folder.name}: it has no selection, as it stopped at until={until}; {remedy}")
    if until is None and last_of(steps, "policy") is None:
        raise UsageError(f"run={folder.name}: its step policy is missing; {line} rebuilds it")
    return steps


def _root(folder: Path) -> Path:
    """Return the output_root of a run's folder, which is below its `runs` folder."""
    return next((parent.parent for parent in folder.parents if parent.name == "runs"), folder.parent.parent)


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
