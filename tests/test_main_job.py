"""The main job through the command line: what is built, what is shared, what is said, and how it fails."""

import hashlib
import html
import json
import re
import shlex
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet as pq
import pytest

from apm_exp.report.tracking.dashboard import command as dashboard
from tests.command import SMALL, apm_exp, folders, small_run, started
from tests.offline_run import read_offline_run
from tests.report.tracking.dashboard.metric_names import known, names, written_workspace

KINDS = {
    **dict.fromkeys(("models", "pairs", "logps", "selection", "policy", "report"), 1),
    "prompts": 2,  # of the pairs, and of the win rate
    "generations": 3,  # to these, and of both policies to the win rate's prompts
    "rewards": 4,  # of the three, and of the pairs
    "evaluation": 2,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the main job has run once, with W&B offline."""
    root = tmp_path_factory.mktemp("main job")
    result = apm_exp(root, *SMALL)
    assert result.returncode == 0, result.stderr
    page, last = result.stderr.strip().splitlines()[-2:]
    known = r"win rate \d+% \(\d+ to \d+\) against the starting policy"
    whether = "whether M_AP beat random selection is not known from one run"
    line = shlex.join(["python", "-m", "apm_exp", "-m", "metric=map,uniform", "seed=0,1,2", *SMALL])
    assert re.fullmatch(f"{known}; {whether}: {re.escape(line)}", last)
    assert Path(root / page.removeprefix("report: ")).is_file()
    assert html.escape(line, quote=True) in Path(root / page.removeprefix("report: ")).read_text()
    return root


def weights(root: Path) -> list[str]:
    return [
        hashlib.sha256((folder / "final" / "model.safetensors").read_bytes()).hexdigest()
        for folder in folders(root, "policy")
    ]


def test_every_step_is_there_and_done(ran: Path) -> None:
    assert {kind: len(folders(ran, kind)) for kind in KINDS} == KINDS


def test_the_record_links_what_was_used(ran: Path) -> None:
    run = ran / "outputs" / "runs" / "latest"
    record = json.loads((run / "result.json").read_text())
    assert (record["state"], {step["state"] for step in record["steps"].values()}) == ("done", {"done"})
    assert {name: (run / name).resolve().name for name in record["steps"]} == {
        name: Path(step["folder"]).name for name, step in record["steps"].items()
    }
    assert (run / "report" / "report.html").is_file()
    for name in ("pairs", "logps", "selection", "policy"):
        assert (run / name).resolve() == folders(ran, name)[0].resolve()


def test_the_tokens_that_are_scored_and_trained_on_are_those_that_were_sampled(ran: Path) -> None:
    (scored,), (policy,) = (folders(ran, kind) for kind in ("logps", "policy"))
    generated = ran / "outputs" / "runs" / "latest" / "generations"
    sampled = {row["prompt_id"]: row for row in pq.read_table(generated / "generations.parquet").to_pylist()}
    rows = pq.read_table(scored / "logps.parquet").to_pylist()
    for row in rows:
        own = sampled[row["pair_id"]]
        assert row["prompt_ids"] == own["prompt_ids"]
        assert row["chosen_ids"] in own["response_ids"]
        assert row["rejected_ids"] in own["response_ids"]
    assert json.loads((scored / "done").read_text())["counts"]["as_sampled"] == len(rows)
    ends = json.loads((policy / "final" / "generation_config.json").read_text())["eos_token_id"]
    assert ends in {row["chosen_ids"][-1] for row in rows}


def test_k_of_n_pairs_are_kept_and_trained(ran: Path) -> None:
    (selected,) = folders(ran, "selection")
    table = pq.read_table(selected / "selection.parquet")
    kept = sum(table["kept"].to_pylist())
    assert kept == 4 * table.num_rows // 10
    (policy,) = folders(ran, "policy")
    assert json.loads((policy / "done").read_text())["counts"]["pairs"] == kept
    rows = [json.loads(line) for line in (policy / "metrics.jsonl").read_text().splitlines()]
    assert abs(rows[-1]["chosen_change"]) < 1e-4  # its only step is made before anything has changed
    assert not any("collapse" in row for row in rows)


def test_the_step_folders_say_what_they_were_given(ran: Path) -> None:
    for kind in KINDS:
        for folder in folders(ran, kind):
            assert (folder / "inputs.yaml").is_file()
            provenance = json.loads((folder / "provenance.json").read_text())
            assert "versions" in provenance
            assert kind != "policy" or provenance["how"]["runtime"]["tf32"] is False
            assert not (folder / "failed.txt").exists()


def test_wandb_recorded_the_run_offline(ran: Path) -> None:
    run = read_offline_run((ran / "outputs" / "runs" / "latest").resolve())
    metrics = (folders(ran, "policy")[0] / "metrics.jsonl").read_text().splitlines()
    assert [row["train/loss"] for row in run.history] == [json.loads(line)["loss"] for line in metrics]
    assert run.config["alpha"] == 0.25
    assert run.exit_code == 0
    scores = json.loads((ran / "outputs" / "runs" / "latest" / "result.json").read_text())["scores"]
    assert {name: run.summary[f"eval/{name}"] for name in scores} == {
        name: score["value"] for name, score in scores.items()
    }
    of = "policy against the starting policy (micro_world), on tasks of micro_world, judged by true_rewards"
    page = (ran / "outputs" / "runs" / "latest" / "report" / "report.html").read_text()
    assert of in page
    assert (run.summary["eval/win_rate_of"], scores["win_rate"]["of"]) == (of, of)


@pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")  # inside wandb-workspaces
def test_everything_that_the_dashboard_shows_was_logged(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["apm-exp-dashboard", "--entity", "us", "--json", str(ran / "workspace.json")])
    dashboard.main()
    run = (ran / "outputs" / "runs" / "latest").resolve()
    shown = names(written_workspace(ran / "workspace.json"))
    assert {where for where, _ in shown} == {"config", "summary", "history", "table", "column"}
    assert shown <= known(read_offline_run(run), run)


def test_the_same_command_again_builds_nothing_and_imports_nothing_large(
    ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = weights(ran)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # every process of the command names what it imports
    result = started(ran, *SMALL)
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert "apm_exp.jobs.job" in imported
    assert not imported & {"torch", "transformers", "trl", "datasets", "wandb", "matplotlib"}
    assert result.returncode == 0, result.stderr
    steps = sum(KINDS.values()) - 1  # the page is no step of its record
    assert [line.partition(":")[0] for line in result.stderr.splitlines() if "reused" in line] == [
        f"{steps} steps reused"
    ]
    assert weights(ran) == before
    latest = (ran / "outputs" / "runs" / "latest").resolve()
    assert list(latest.rglob("*.wandb")) == []


def test_another_alpha_scores_nothing_again(ran: Path) -> None:
    result = small_run(ran, "alpha=5")
    assert result.returncode == 0, result.stderr
    more = dict.fromkeys(("selection", "policy", "report"), 1) | {"generations": 1, "rewards": 1, "evaluation": 2}
    # The new policy's responses to the win rate's prompts and their rewards; the starting policy's are there.
    assert {kind: len(folders(ran, kind)) for kind in KINDS} == {k: n + more.get(k, 0) for k, n in KINDS.items()}
    assert " build " not in small_run(ran, "task=plan", "alpha=5.0").stdout


def test_a_selection_of_all_pairs_and_a_training_share_everything_but_the_selection(ran: Path) -> None:
    """A selection alone holds out nothing; its pairs, log-probs and rewards are those of the training."""
    before = {kind: len(folders(ran, kind)) for kind in KINDS}
    result = small_run(ran, "until=selection", "dataset.holdout=auto")
    assert result.returncode == 0, result.stderr
    reused = "models, prompts, generations, rewards.responses, pairs, rewards, logps"
    assert f"7 steps reused: {reused}" in result.stderr.splitlines()
    more = dict.fromkeys(("selection", "report"), 1)
    assert {kind: len(folders(ran, kind)) for kind in KINDS} == {k: n + more.get(k, 0) for k, n in before.items()}
    assert "pairs are ranked, as nothing is evaluated" in result.stderr
    assert "; none held out: " in result.stderr


def test_the_plan_says_what_would_be_reused_and_runs_nothing(ran: Path) -> None:
    before = sorted((ran / "outputs").rglob("*"))
    result = small_run(ran, "task=plan", "alpha=0.125")
    assert result.returncode == 0, result.stderr
    state = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()[2:] if len(line.split()) > 2}
    assert (state["logps"], state["selection"], state["policy"]) == ("reuse", "build", "build")
    assert sorted((ran / "outputs").rglob("*")) == before


def test_a_plan_of_a_model_that_is_not_here_downloads_nothing(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "task=plan", "model=gemma2_9b_it", "dataset=gemma2_ultrafeedback_armorm", "loss=simpo")
    assert result.returncode == 0, result.stderr
    assert "model.path=google/gemma-2-9b-it: not cached yet; a run downloads it first" in result.stderr
    assert "simpo-map-alpha2.5-gemma2_9b_it" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_failed_job_does_not_stop_the_others(ran: Path) -> None:
    too_high = "metric=map,explicit"
    result = small_run(ran, "-m", too_high, "keep=threshold", "keep.minimum=0.9")
    # explicit margins reach 0.9 reward units here; M_AP in standard deviations may not: both outcomes are recorded.
    (sweep,) = [
        s for s in (ran / "outputs" / "sweeps").glob("multirun-*") if len(list((s / "jobs").glob("*.json"))) == 2
    ]
    states = [json.loads(path.read_text())["state"] for path in sorted((sweep / "jobs").glob("*.json"))]
    assert result.returncode == (0 if states == ["done", "done"] else 1)
    assert (sweep / "report.html").is_file()


UNUSED = ("-m", "metric=uniform", "alpha=0.25,5", "keep.fraction=0.2")


def ledger(root: Path) -> list[dict[str, object]]:
    """The records of the sweep of UNUSED."""
    for path in (root / "outputs" / "sweeps").glob("multirun-*/command.txt"):
        if "metric=uniform" in path.read_text():
            jobs = sorted((path.parent / "jobs").glob("*.json"))
            return [json.loads(job.read_text()) for job in jobs]
    return []


@pytest.fixture(scope="module")
def shared(ran: Path) -> CompletedProcess[str]:
    """The sweep of UNUSED, once, after its plan."""
    plan = small_run(ran, "task=plan", *UNUSED)
    assert "nothing: its model is that of job 0" in plan.stdout
    assert "warning: each job: trainer.global_batch=32: at most 11 pairs make 1 optimizer step" in plan.stderr
    result = small_run(ran, *UNUSED)
    assert result.returncode == 0, result.stderr
    return result


def test_jobs_that_differ_in_what_is_not_used_train_once(ran: Path, shared: CompletedProcess[str]) -> None:
    assert [record["state"] for record in ledger(ran)] == ["done", "done"]
    assert len({record["policy_key"] for record in ledger(ran)}) == 1
    assert "job 1: its model is that of job 0: training uses nothing that differs" in shared.stderr
    status = small_run(ran, "task=status", *UNUSED).stdout
    done = re.findall(r"^(\d) +alpha=([\d.]+) +done +[\d.]+ +win rate", status, re.MULTILINE)
    assert done == [("0", "0.25"), ("1", "5")]


def test_what_is_gone_is_made_again_and_nothing_else(ran: Path, shared: CompletedProcess[str]) -> None:
    last = Path(str(ledger(ran)[1]["report"]))
    shutil.rmtree((ran / last).parent)
    again = small_run(ran, *UNUSED)
    assert re.findall(r"^job (\d): alpha=[\d.]+: done before \| win rate \d", again.stderr, re.MULTILINE) == ["0"]
    assert f"\n{sum(KINDS.values()) - 1} steps reused: models, prompts, " in again.stderr  # all but the page
    assert (ran / last).is_file()
    before, runs = ledger(ran), sorted((ran / "outputs" / "runs").iterdir())
    again = small_run(ran, *UNUSED)
    assert re.findall(r"^job (\d): alpha=[\d.]+: done before \| win rate \d", again.stderr, re.MULTILINE) == ["0", "1"]
    assert (ledger(ran), sorted((ran / "outputs" / "runs").iterdir())) == (before, runs)
