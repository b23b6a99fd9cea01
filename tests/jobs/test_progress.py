"""How far the running step of a run is, as task=status says it."""

import json
from pathlib import Path
from typing import Any

import pytest

from apm_exp.core import results_file
from apm_exp.core.types import Refusal
from apm_exp.data.generate import journal
from apm_exp.data.generate.samples import Drawn, Response
from apm_exp.jobs.progress import progress
from apm_exp.jobs.request import Request
from apm_exp.jobs.sweep.status import print_status

STEPS = (
    "generations.1",
    "policy.1",
    "generations.2-evolved",
    "policy.2",
    "generations.win_rate",
    "generations.1-win_rate",
)


def record(running: str | None, **bounds: int) -> dict[str, Any]:
    """The record of a run in which one step is worked on, in the folder that is named as it is."""
    steps: dict[str, Any] = {name: {"key": name, "folder": name, "state": "waiting", "bounds": {}} for name in STEPS}
    if running:
        steps[running] = {"key": running, "folder": running, "state": "running", "bounds": bounds}
    return {"state": "running", "reason": None, "steps": steps}


def sample(folder: Path) -> None:
    """Two prompts with three responses each, of which one is refused, and a line that a kill has truncated."""
    folder.mkdir()
    drawn: list[Drawn] = [(index, number, Response("a", True, 1)) for index in (0, 2) for number in range(3)]
    drawn[-1] = (2, 2, Refusal("empty", "no prompt"))
    assert len(list(journal.record(drawn, folder / "sampled"))) == 6
    with next((folder / "sampled").iterdir()).open("a") as file:
        file.write('0123 {"3 0": {"Resp')


def test_responses_are_counted_and_the_iteration_is_said(tmp_path: Path) -> None:
    sample(tmp_path / "generations.2-evolved")
    said = progress(record("generations.2-evolved", prompts=4, responses=12_000), tmp_path)
    assert said == "iteration 2 of 2, generations (evolved): 6 of 12,000"
    said = progress(record("generations.1-win_rate", responses=1_600), tmp_path)
    assert said == "iteration 1 of 2, generations (win_rate): 0 of 1,600"  # the evaluation of the first policy


def test_without_iterations_and_bounds_the_name_and_the_unit_are_said(tmp_path: Path) -> None:
    assert progress(record("generations.win_rate", responses=9), tmp_path) == "generations.win_rate: 0 of 9"
    sample(tmp_path / "generations")
    alone = {"steps": {"generations": {"folder": "generations", "state": "running"}}}
    assert progress(alone, tmp_path) == "generations: 6 responses"
    one = {"steps": {"generations.1": {"folder": "generations", "state": "running"}}}
    assert progress(one, tmp_path) == "generations.1: 6 responses"


def test_scored_pairs_rewarded_responses_and_optimizer_steps_are_counted(tmp_path: Path) -> None:
    for folder in ("logps/shards", "rewards/scored"):
        (tmp_path / folder).mkdir(parents=True)
        for names in ("ab", "bc"):  # two processes may have the same pair
            list(results_file.record(names, lambda name: {name: [-1.0, -2.0]}, tmp_path / folder))
    (tmp_path / "policy").mkdir()
    rows = "".join(json.dumps({"step": step, "loss": 0.5}) + "\n" for step in (2, 4)) + '{"step": 6, "lo'
    (tmp_path / "policy" / "metrics.jsonl").write_text(rows)
    for kind, bounds in {"logps": {"pairs": 5}, "rewards": {"responses": 5}, "policy": {"optimizer_steps": 8}}.items():
        step = {"folder": kind, "state": "running", "bounds": bounds}
        done, most = (4, 8) if kind == "policy" else (3, 5)
        assert progress({"steps": {kind: step}}, tmp_path) == f"{kind}: {done} of {most}"


@pytest.mark.parametrize("steps", [None, {}, {"policy": {"key": "k", "folder": "policy/p"}}])
def test_a_record_without_a_running_step_or_of_an_earlier_version_says_nothing(tmp_path: Path, steps: Any) -> None:
    assert progress({"state": "running", "steps": steps}, tmp_path) == ""
    assert progress(record(None), tmp_path) == ""


def test_status_says_it_of_runs_and_of_jobs_that_were_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = record("policy.2", optimizer_steps=48)
    for folder in (tmp_path / "runs" / "20260101-000000-dpo-0a0b0c", tmp_path / "sweeps" / "seeds-0" / "jobs"):
        folder.mkdir(parents=True)
    run, sweep = tmp_path / "runs" / "20260101-000000-dpo-0a0b0c", tmp_path / "sweeps" / "seeds-0"
    (run / "config.yaml").touch()
    (run / "result.json").write_text(json.dumps(said))
    (sweep / "sweep.json").write_text(json.dumps({"jobs": [{"seed": "0"}]}))
    (sweep / "jobs" / "0.json").write_text(json.dumps(said))
    for name in (None, str(sweep)):
        print_status(Request("status", {"output_root": str(tmp_path)}, {}, [], "", 0.0, sweep=name))
    out = " ".join(capsys.readouterr().out.split())
    assert "running or killed iteration 2 of 2, policy: 0 of 48" in out
    assert "failed killed; re-run the same command to resume | iteration 2 of 2, policy: 0 of 48" in out
