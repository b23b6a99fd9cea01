"""The disk that jobs will need, by hand."""

from pathlib import Path
from typing import Any

from apm_exp.core.digest import FileDigests
from apm_exp.jobs.plan.disk import Disk, checkpoint_bytes, disk_line, job_disk, together
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from apm_exp.pipeline.work import Counts
from tests.jobs.plan.memory.test_memory import ON_CPU, N
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose


def missing(*overrides: str) -> tuple[dict[str, Any], dict[str, Step], dict[str, Counts]]:
    """The configuration of a job, its scoring and its training, and that they make 25 optimizer steps."""
    config = compose(*overrides)
    steps = unroll(config, CHOICES, FileDigests(Path("absent")))
    return config, {name: steps[name] for name in ("logps", "policy")}, {steps["policy"].key: {"optimizer_steps": 25}}


def test_weights_stay_and_checkpoints_go() -> None:
    assert checkpoint_bytes(ON_CPU) == 12 * N
    config, steps, known = missing("trainer.save_every=10", "dataset.prompts=100")
    disk = job_disk(config, steps, known, ON_CPU)
    table = 100 * 5 * 24 * 8  # prompts, samples, tokens, bytes
    assert disk.stays == {steps["policy"].folder: 4 * N, steps["logps"].folder: table}
    assert disk.while_training == 3 * 12 * N  # the newest, the one before, and the one that is being written
    assert job_disk(config, steps, {steps["policy"].key: {"optimizer_steps": 5}}, ON_CPU).while_training == 12 * N


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
