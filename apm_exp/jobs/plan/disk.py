"""The disk that the steps of a job will need, in bytes."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from apm_exp.core.console import shown
from apm_exp.core.step_names import of_kind
from apm_exp.core.told import ask
from apm_exp.data.generate.most_new_tokens import most_of
from apm_exp.jobs.plan.memory.states import optimizer_bytes
from apm_exp.jobs.plan.memory.training import Training
from apm_exp.models.shape import Shape
from apm_exp.pipeline.flops import ASSUMED, MeanLengths
from apm_exp.pipeline.resolve import is_here
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step, earlier_steps
from apm_exp.pipeline.work import Counts
from apm_exp.training.callbacks.checkpoints import KEPT_MEANWHILE

_OF_THE_HUB = 2  # bytes a weight: models on the Hub are in 16 bits
_BYTES_A_TOKEN = 8  # of a sampled response: its text and its ids, in each table


@dataclass(frozen=True)
class Disk:
    """stays: by the folder that it is in, so that what jobs share counts once. while_training: on top of that.
    downloads: the keys of what comes from the Hub. unknown: kinds of steps whose size nobody knows.
    """

    stays: Mapping[Path, int]
    while_training: int = 0
    downloads: frozenset[Path] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def download(self) -> int:
        """Return the bytes to download from the Hub."""
        return sum(self.stays[each] for each in self.downloads)

    @property
    def total(self) -> int:
        """At the fullest moment."""
        return sum(self.stays.values()) + self.while_training


def job_disk(
    config: Mapping[str, Any],
    missing: Mapping[str, Step],
    known: Mapping[str, Counts],
    training: Training | None,
    shape: Shape | None = None,
    pair: MeanLengths = ASSUMED,
) -> Disk:
    """Return the disk space that the steps to build need: tables, trained weights, and checkpoints meanwhile.

    known: the counts of all steps by key. training: the largest; None if there is none, or nothing is known of the
    model. shape: of the model, whose weights are downloaded if they are not here. The built models of this project are
    too small to count.
    """
    tables = {step: _table(step, config, known, pair) for step in missing.values() if STAGES[step.kind].texts}
    stays = {step.folder: size for step, size in tables.items() if size is not None}
    unknown = {step.kind for step, size in tables.items() if size is None}
    downloads: frozenset[Path] = frozenset()
    if missing and shape is not None and not is_here("model", config["model"]):
        downloads = frozenset({Path(str(config["model"].get("path")))})
        stays |= dict.fromkeys(downloads, _OF_THE_HUB * shape.parameters)
    if training is None:
        unknown |= {step.kind for step in of_kind(missing, "policy").values()}
        return Disk(stays, 0, downloads, frozenset(unknown))
    meanwhile = 0
    for policy in of_kind(missing, "policy").values():
        each = checkpoint_bytes(training)
        saved, kept = _checkpoints(config["trainer"], known.get(policy.key, {}).get("optimizer_steps"))
        stays[policy.folder] = training.bytes_of_dtype * training.shape.parameters + kept * each
        meanwhile = max(meanwhile, (min(saved, max(KEPT_MEANWHILE, kept) + 1) - kept) * each if saved else 0)
    return Disk(stays, meanwhile, downloads, frozenset(unknown))


def together(jobs: Iterable[Disk]) -> Disk:
    """Return the disk that consecutive jobs need: what all leave, and the checkpoints of the job with the most."""
    each = list(jobs)
    stays = {folder: size for job in each for folder, size in job.stays.items()}
    downloads = frozenset(path for job in each for path in job.downloads)
    unknown = frozenset(kind for job in each for kind in job.unknown)
    return Disk(stays, max((job.while_training for job in each), default=0), downloads, unknown)


def disk_line(disk: Disk, root: Path) -> str:
    """Return the line of a plan: the total, the part that is removed again, and the free space."""
    parent = root.absolute()
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    parts = [f"{shown(disk.while_training)} of it checkpoints that go when training is over"] * (
        disk.while_training > 0
    )
    parts += [f"{shown(disk.download)} of it weights to download"] * (disk.download > 0)
    parts += [f"without {', '.join(sorted(disk.unknown))}, of unknown size"] * bool(disk.unknown and disk.total)
    short = f"; more than is free below {parent}" if disk.total > free else ""
    size = "unknown" if disk.unknown and not disk.total else shown(disk.total)
    return f"disk: {', '.join([size, *parts])}; {shown(free)} free{short}"


def checkpoint_bytes(training: Training) -> int:
    """Return the bytes of a checkpoint: trained weights and optimizer states, with DeepSpeed's master weights.

    Of an adapter's training only what is trained.
    """
    shape = training.shape
    if training.zero is None or training.frozen:
        return 4 * (shape.trainable if training.frozen else shape.parameters) + optimizer_bytes(training)
    return training.bytes_of_dtype * shape.parameters + 4 * shape.trainable + optimizer_bytes(training)


def _checkpoints(trainer: Mapping[str, Any], steps: float | None) -> tuple[int, int]:
    """Return how many checkpoints a training writes (2 if its length is unknown), and how many are kept."""
    if not trainer["save_every"]:
        return 0, 0
    saved = 2 if steps is None else ceil(steps / trainer["save_every"])  # the last optimizer step is saved too
    return saved, min(saved, trainer["keep_checkpoints"])


def _table(step: Step, config: Mapping[str, Any], known: Mapping[str, Counts], pair: MeanLengths) -> int | None:
    """Return the bytes of one table of all pairs; None if nothing is known.

    By the tokens that are sampled, the files that are read (the table is compressed too), or the mean pair.
    """
    sampled = _sampled(step)
    if sampled is not None:
        responses = known.get(sampled.key, {}).get("responses")
        each = (most_of(sampled.inputs["generate"]) or 0) * _BYTES_A_TOKEN
        return None if responses is None else int(responses * each)
    dataset = config["dataset"]
    files: Iterable[Path] | None = ask("dataset", dataset, "files")
    if files is not None:
        return sum(file.stat().st_size for file in files)
    pairs = known.get(step.key, {}).get("pairs")
    return None if pairs is None else int(pairs * sum(pair) * _BYTES_A_TOKEN)


def _sampled(step: Step) -> Step | None:
    """Return the sampling whose responses are in a step's table: the nearest one, but none that trained its policy."""
    level = [step]
    while level:
        if sampled := next((each for each in level if each.kind == "generations"), None):
            return sampled
        level = [each for later in level for each in earlier_steps(later) if each.kind not in ("models", "policy")]
    return None
