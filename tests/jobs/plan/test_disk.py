"""The disk that jobs will need, by hand."""

from pathlib import Path
from typing import Any

from apm_exp.core.digest import FileDigests
from apm_exp.jobs.plan.disk import Disk, checkpoint_bytes, disk_line, job_disk, together
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from apm_exp.pipeline.work import Counts
from tests.jobs.plan.memory.test_memory import ON_CPU, N
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose


def missing(*overrides: str) -> tuple[dict[str, Any], dict[str, Step], dict[str, Counts]]:
    """The configuration of a job, its scoring and its training, and its counts: there are 25 optimizer steps."""
    config = compose(*overrides)
    steps = unroll(config, CHOICES, FileDigests(Path("absent")))
    known = bounds_of(steps) | {steps["policy"].key: {"optimizer_steps": 25}}
    return config, {name: steps[name] for name in ("logps", "policy")}, known


def bounds_of(steps: dict[str, Step]) -> dict[str, Counts]:
    """The most that each step can have."""
    known: dict[str, Counts] = {}
    for step in steps.values():
        known[step.key] = STAGES[step.kind].bounds(step.inputs, known)
    return known


def test_weights_stay_and_checkpoints_go() -> None:
    assert checkpoint_bytes(ON_CPU) == 12 * N
    config, steps, known = missing("trainer.save_every=10", "dataset.prompts=100")
    disk = job_disk(config, steps, known, ON_CPU)
    table = 100 * 5 * 24 * 8  # prompts, samples, tokens, bytes
    assert disk.stays == {steps["policy"].folder: 4 * N, steps["logps"].folder: table}
    assert disk.while_training == 3 * 12 * N  # the newest, the one before, and the one that is being written
    assert (
        job_disk(config, steps, known | {steps["policy"].key: {"optimizer_steps": 5}}, ON_CPU).while_training == 12 * N
    )


def test_tables_of_evolved_prompts_have_the_size_of_their_own_responses() -> None:
    """40 prompts and 80 evolved from them, each with 5 responses of at most 24 tokens, in each iteration."""
    config = compose("pipeline=evolve_then_select", "iterations=2", "dataset.prompts=40", "evals=[]")
    steps = unroll(config, CHOICES, FileDigests(Path("absent")))
    texts = {name: step for name, step in steps.items() if STAGES[step.kind].texts}
    disk = job_disk(config, texts, bounds_of(steps), None)
    assert len(texts) == 12
    assert disk.stays == {
        step.folder: (80 if name.endswith("-evolved") else 40) * 5 * 24 * 8 for name, step in texts.items()
    }
    assert not disk.unknown


def test_checkpoints_that_are_kept_stay() -> None:
    config, steps, known = missing("trainer.save_every=10", "trainer.keep_checkpoints=2")
    del steps["logps"]
    disk = job_disk(config, steps, known, ON_CPU)
    assert disk.total == 4 * N + 3 * 12 * N
    assert sum(disk.stays.values()) == 4 * N + 2 * 12 * N
    config, steps, known = missing("trainer.save_every=null")
    del steps["logps"]
    assert job_disk(config, steps, known, ON_CPU).total == 4 * N


def test_what_jobs_share_counts_once_and_checkpoints_one_job_at_a_time() -> None:
    jobs = [Disk({Path("logps"): 5, Path(f"policy{number}"): 7}, 10 + number) for number in (1, 2)]
    assert together(jobs).total == 5 + 7 + 7 + 12


def test_too_little_room_is_said(tmp_path: Path) -> None:
    assert "more than is free" in disk_line(Disk({tmp_path: 2**60}), tmp_path / "outputs")
    assert "more than is free" not in disk_line(Disk({tmp_path: 1}), tmp_path / "outputs")
