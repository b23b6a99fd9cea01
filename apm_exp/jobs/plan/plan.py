"""The plan of a run: its steps, which are reused, and their counts. Nothing is built."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apm_exp.core.step_names import of_kind
from apm_exp.core.told import told
from apm_exp.core.types import Policy
from apm_exp.jobs.job import Job
from apm_exp.jobs.ledger import titled
from apm_exp.jobs.plan import device
from apm_exp.jobs.plan.disk import Disk, job_disk
from apm_exp.jobs.plan.duration import Takes, expected_seconds
from apm_exp.jobs.plan.memory.check import step_training
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.shape import shape_of
from apm_exp.jobs.plan.memory.training import Training
from apm_exp.jobs.plan.pairs import Pairs, about_counts, pairs_of
from apm_exp.jobs.request import Request
from apm_exp.models.shape import Shape
from apm_exp.pipeline.build import wants_rebuild
from apm_exp.pipeline.flops import Load, reward_shape
from apm_exp.pipeline.nodes import has_policy
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Seen, Step, lineage, read_done
from apm_exp.pipeline.work import Counts, Work
from apm_exp.runtime.accelerators import on_accelerators
from apm_exp.runtime.device import pick_device
from apm_exp.runtime.settings import all_processes


@dataclass(frozen=True)
class Plan:
    """The plan of a job.

    known: the counts of each step by name, exact if it is built, else upper bounds, or about so many (`about`).
    missing: the steps to be built. shape: of the model, None if unknown. training: what the memory of its largest
    training is estimated from, if there is one and that can be.
    """

    title: str
    config: Mapping[str, Any]
    steps: Mapping[str, Step]
    known: Mapping[str, Counts]
    missing: Mapping[str, Step]
    about: bool
    pairs: Pairs
    shape: Shape | None
    training: Training | None
    disk: Disk

    def seconds(self, name: str) -> float | None:
        """Return the expected seconds of a step, None if unknown; a finished step takes 0."""
        if name not in self.missing:
            return 0.0
        step, counts, flops = self.steps[name], self.known[name], self.flops(name)
        shape, runtime = self._shape(step), self.config["runtime"]
        if flops is None or shape is None:
            return expected_seconds(step, counts, None, through_model=self.has_model(name))
        devices = device.devices_of(step, all_processes(runtime))
        if planned := device.named(runtime):
            seconds = device.seconds_at_peak(planned, flops, devices)
            reading = step.kind == "generations"
            return max(
                seconds, device.sampling_seconds(planned, step, counts, shape, self.pairs.mean) if reading else 0.0
            )
        takes = Takes(flops, shape.parameters, pick_device(dict(runtime)).partition(":")[0], devices)
        return expected_seconds(step, counts, takes)

    def flops(self, name: str) -> float | None:
        """Return the operations of a step; None if it has no model or nothing is known of it."""
        step = self.steps[name]
        if (shape := self.shape or self._shape(step)) is None:
            return None
        return STAGES[step.kind].flops(step.inputs, self.known[name], Load(shape, self.pairs.mean, self.pairs.held_out))

    def work(self, name: str) -> Work | None:
        """Return the forward passes and tokens of a step, None if it runs no model or they are unknown."""
        step = self.steps[name]
        return STAGES[step.kind].work(step.inputs, self.known[name])

    def has_model(self, name: str) -> bool:
        """Return whether a step puts tokens through a model."""
        inputs = self.steps[name].inputs
        if "reward" in inputs:
            return told("reward", inputs["reward"], "config_here") is not None
        return isinstance(inputs.get("policy", inputs.get("given", {}).get("policy")), Policy)

    def tokens(self, name: str) -> tuple[int, str] | None:
        """Return the tokens of a step and how sure that is: "", "about " or "at most "; None if nothing is known."""
        work = self.work(name)
        if work is None or work.tokens is None:
            return None
        mean = round(work.forwards * sum(self.pairs.mean))
        if work.exact or self.steps[name].kind == "generations" or mean >= work.tokens:
            return work.tokens, "" if work.exact else "at most "
        return mean, "about "

    def _shape(self, step: Step) -> Shape | None:
        return reward_shape(step.inputs["reward"]) if step.kind == "rewards" else self.shape


def plan_of(title: str, steps: Mapping[str, Step], config: Mapping[str, Any]) -> Plan:
    """Look at every step of a job; builds and downloads nothing."""
    known: dict[str, Counts] = {}  # by key
    missing: dict[str, Step] = {}
    seen: Seen = {}
    about = False
    for name, step in steps.items():
        artifact = read_done(step, seen)
        if artifact is None or any(wants_rebuild(config, each) for each in lineage(step)):
            missing[name] = step
        known[step.key] = artifact.counts if artifact else STAGES[step.kind].bounds(step.inputs, known)
        if not known[step.key] and (counts := about_counts(step, config)):
            known[step.key], about = counts, True
    training = _largest_training(config, missing)
    shape = shape_of(config["model"]) if has_policy(config) else None
    pairs = pairs_of(config, steps, known)
    disk = job_disk(config, missing, known, training, shape, pairs.mean)
    by_name = {name: known[step.key] for name, step in steps.items()}
    return Plan(title, config, steps, by_name, missing, about, pairs, shape, training, disk)


def _largest_training(config: Mapping[str, Any], missing: Mapping[str, Step]) -> Training | None:
    trainings = [step_training(config, step) for step in of_kind(missing, "policy").values()]
    return max(filter(None, trainings), key=lambda training: estimate(training).total, default=None)


def plan_job(job: Job) -> Plan:
    """Return the plan of a job; nothing is written."""
    return plan_of(_title(job.request), job.steps, job.config)


def for_its_device(request: Request) -> Request:
    """Return a request with the runtime of the device that it is planned for."""
    return replace(request, config={**request.config, "runtime": on_accelerators(request.config["runtime"])})


def _title(request: Request) -> str:
    if request.sweep or request.swept:
        return titled(request.number, request.swept)
    if not has_policy(request.config):
        return "plan"
    return f"plan ({request.config['hyperparameters']})"
