"""The parts of a run's last training, each with the pairs that one selection keeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.split import Split, number_held_out
from apm_exp.core.step_names import last_of, of_kind, place_of
from apm_exp.report.export.finished_run import FinishedRun, StepRecord


@dataclass(frozen=True)
class Part:
    """The steps of one part: pairs, rewards, log-probs and selection. name: the place of the selection in the run."""

    name: str
    pairs: StepRecord
    rewards: StepRecord
    logps: StepRecord
    selection: StepRecord

    @property
    def rewarded(self) -> bool:
        """Return whether any pair has rewards."""
        return self.rewards.counts.get("unrewarded", 0) < self.rewards.counts["pairs"]

    def split(self, *, held_out: bool) -> Split:
        """Return one side of the split of its pairs."""
        prompts, holdout = int(self.pairs.counts["prompts"]), float(self.selection.inputs["holdout"])
        return Split(number_held_out(prompts, holdout), held_out)

    def file(self, kind: str) -> Path:
        """Return the path of the table of one of its steps."""
        path: Path = getattr(self, kind).path / f"{kind}.parquet"
        return path


def parts_of(run: FinishedRun) -> list[Part]:
    """Return the parts of the run's last training; the part of its last selection if it has trained nothing."""
    policy, selections = last_of(run.steps, "policy"), of_kind(run.steps, "selection")
    if policy is None:
        return [_part(run, [*selections.values()][-1])]
    return [_part(run, step_of(run, part["selection"]["artifact"])) for part in policy.inputs["parts"]]


def _part(run: FinishedRun, selection: StepRecord) -> Part:
    made_of = {kind: step_of(run, selection.inputs[kind]["artifact"]) for kind in ("pairs", "rewards", "logps")}
    return Part(place_of(name_of(run, selection)), **made_of, selection=selection)


def step_of(run: FinishedRun, key: str) -> StepRecord:
    """Return the step with this key."""
    return next(step for step in run.steps.values() if step.key == key)


def name_of(run: FinishedRun, step: StepRecord) -> str:
    """Return the name of a step in its run."""
    return next(name for name, known in run.steps.items() if known.key == step.key)


def made_from(run: FinishedRun, step: StepRecord) -> dict[str, StepRecord]:
    """Return a step and the steps that it was made from, by name in the order of the run, without policies.

    The inputs of policies are omitted too.
    """
    keys, waiting = {step.key}, [step]
    while waiting:
        new = set(_artifacts(waiting.pop().inputs)) - keys
        keys |= new
        waiting += [step_of(run, key) for key in new]
    return {name: known for name, known in run.steps.items() if known.key in keys}


def _artifacts(value: Any) -> Iterator[str]:
    """Yield the keys of the artifacts in a step's inputs."""
    if isinstance(value, dict):
        if set(value) == {"artifact"}:
            yield str(value["artifact"])
        else:
            for item in value.values():
                yield from _artifacts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _artifacts(item)
