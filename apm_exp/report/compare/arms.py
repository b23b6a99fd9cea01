"""Arms: the jobs of a sweep that differ only in the seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.core.step_names import of_kind

Job = Mapping[str, Any]
REPEATED = ("seed", "dataset.seed")  # settings whose values are repetitions of an arm
_CHOICES = ("metric", "loss", "keep", "model", "dataset", "reward", "experiment", "adapter", "tokens", "trainer")
_SHORT = {"gamma_beta_ratio": "gamma/beta"}


@dataclass(frozen=True, eq=False)
class Arm:
    """The jobs of a sweep with the same settings except for seeds.

    settings: swept key -> the values that give this arm (several if they have no effect), without seeds. jobs: all
    jobs, by number. by_seed: the finished jobs, one for each repetition (the values of REPEATED).
    """

    settings: Mapping[str, tuple[str, ...]]
    jobs: tuple[Job, ...]
    by_seed: Mapping[tuple[str, ...], Job]

    @property
    def label(self) -> str:
        """Return the settings that distinguish the arm, in few words."""
        apart = [words(key, *values) for key, values in self.settings.items() if len(values) == 1]
        return ", ".join(apart) or "all jobs"


def arms_of(jobs: list[dict[str, Any]]) -> list[Arm]:
    """Return the arms in the order of their first jobs. Arms with identical models and evaluations are merged."""
    grouped: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job["number"]):
        settings = tuple((key, value) for key, value in job["swept"].items() if key not in REPEATED)
        grouped.setdefault(settings, []).append(job)
    arms: list[Arm] = []
    for settings, members in grouped.items():
        arm = Arm({key: (value,) for key, value in settings}, tuple(members), _by_seed(members))
        same = next((index for index, other in enumerate(arms) if _same(arm, other)), None)
        if same is None:
            arms.append(arm)
        else:
            arms[same] = _merged(arms[same], arm)
    return arms


def _by_seed(jobs: list[Job]) -> dict[tuple[str, ...], Job]:
    return {tuple(job["swept"].get(key, "") for key in REPEATED): job for job in jobs if job["state"] == "done"}


def _identity(job: Job) -> tuple[str, ...] | None:
    """Return the keys of the policy and of its evaluations."""
    keys = [job.get("policy_key"), *(step["key"] for step in of_kind(steps_of(job), "evaluation").values())]
    return tuple(keys) if job.get("policy_key") else None


def steps_of(job: Job) -> Mapping[str, Mapping[str, Any]]:
    """Return the finished steps of a job."""
    steps: Mapping[str, Mapping[str, Any]] = job.get("steps") or {}
    return {name: step for name, step in steps.items() if "counts" in step}  # a step without counts has not been built


def _same(arm: Arm, other: Arm) -> bool:
    common = arm.by_seed.keys() & other.by_seed.keys()
    pairs = [(_identity(arm.by_seed[seed]), _identity(other.by_seed[seed])) for seed in common]
    return bool(pairs) and all(one is not None and one == two for one, two in pairs)


def _merged(arm: Arm, other: Arm) -> Arm:
    keys = dict.fromkeys([*arm.settings, *other.settings])
    values = {key: (*arm.settings.get(key, ()), *other.settings.get(key, ())) for key in keys}
    settings = {key: tuple(dict.fromkeys(each)) for key, each in values.items()}
    jobs = sorted([*arm.jobs, *other.jobs], key=lambda job: job["number"])
    return Arm(settings, tuple(jobs), {**other.by_seed, **arm.by_seed})


def words(key: str, value: str) -> str:
    """Return a setting in few words: an option of a group needs no name."""
    if key in _CHOICES:
        return value
    name = key.split(".")[-1]
    return f"{_SHORT.get(name, name.replace('_', ' '))} {value}"
