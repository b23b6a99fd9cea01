"""What the record of a run says of its steps, from its beginning on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.sealed import read_sealed, write_sealed
from apm_exp.jobs.job import Job, job_of
from apm_exp.jobs.progress import progress
from apm_exp.jobs.request import Request
from apm_exp.jobs.run_record import RunRecord
from tests.test_configs import compose

CHOICES = dict.fromkeys(("model", "dataset", "metric", "loss", "trainer"), "x")
SMALL = ("dataset.prompts=40", "generate.samples=3", "evals=held_out_pairs", "keep=top_k", "keep.k=8")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    config = compose(*SMALL, "trainer.global_batch=4", f"output_root={tmp_path}")
    return job_of(Request("run", config, CHOICES, [], "python -m apm_exp", "id"))


def steps_in(record: RunRecord) -> dict[str, Any]:
    steps: dict[str, Any] = read_sealed(record.folder / "result.json", "steps")["steps"]
    return steps


def test_every_step_waits_from_the_beginning_with_bounds_of_its_counts(job: Job) -> None:
    record = RunRecord(job.request, job.steps)
    steps = steps_in(record)
    assert list(steps) == list(job.steps)
    assert {step["state"] for step in steps.values()} == {"waiting"}
    assert [(record.folder / name).is_symlink() for name in steps] == [True] * len(steps)
    known = {name: steps[name]["bounds"] for name in ("generations", "logps", "policy")}
    assert known == {
        "generations": {"prompts": 40, "responses": 120},
        "logps": {"pairs": 40},
        "policy": {"pairs": 8, "optimizer_steps": 2},
    }


def test_a_step_that_begins_has_the_bounds_that_its_inputs_give_and_one_that_is_there_its_counts(job: Job) -> None:
    record, step = RunRecord(job.request, job.steps), job.steps["prompts"]
    record.begin("prompts")
    assert steps_in(record)["prompts"]["state"] == "running"
    record.made("prompts", Artifact("prompts", step.folder, step.key, {"prompts": 30}, 1.5, "b1", reused=False))
    record.begin("generations")
    steps = steps_in(record)
    assert steps["prompts"] == {
        "key": step.key,
        "build": "b1",
        "folder": step.place,
        "seconds": 1.5,
        "counts": {"prompts": 30},
        "reused": False,
        "state": "done",
    }
    assert (steps["generations"]["state"], steps["generations"]["bounds"]["responses"]) == ("running", 90)
    record.stop("failed")
    record.end({"state": "failed", "reason": "no"})
    states = [each["state"] for each in steps_in(record).values()]
    assert [states.count(one) for one in ("done", "failed", "waiting")] == [1, 1, len(states) - 2]


def test_a_step_that_was_interrupted_says_so_and_status_says_how_far_it_was(job: Job) -> None:
    record = RunRecord(replace(job.request, swept={"seed": "2"}), job.steps)
    record.begin("generations")
    record.stop("interrupted")
    record.end({"state": "interrupted", "reason": "interrupted"})
    assert steps_in(record)["generations"]["state"] == "interrupted"
    assert progress(record.content, Path(job.config["output_root"])) == "generations: 0 of 120"


def test_what_is_there_at_the_beginning_bounds_what_follows(job: Job) -> None:
    step = job.steps["prompts"]
    step.folder.mkdir(parents=True)
    write_sealed({"key": step.key, "counts": {"prompts": 7}, "seconds": 1.0, "files": {}}, step.folder / "done")
    record = RunRecord(replace(job.request, swept={"seed": "1"}), job.steps)
    assert steps_in(record)["generations"]["bounds"] == {"prompts": 7, "responses": 21}
