"""task=clean takes what no record needs, and nothing that a run links to, somebody builds, or lies elsewhere."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from apm_exp.core.digest import FileDigests
from apm_exp.core.errors import UsageError
from apm_exp.jobs.clean.folders import StepFolder
from apm_exp.jobs.clean.leftovers import goes_on
from apm_exp.jobs.clean.task import clean
from apm_exp.jobs.run_record import point
from apm_exp.pipeline.build import build
from apm_exp.pipeline.locks import reading
from apm_exp.pipeline.step import Step, read_done
from tests.command import apm_exp, folders, started

VERSION = 1
Made = Callable[..., Path]


def policy(out: Path, *, number: int) -> dict[str, int]:
    """A stage that leaves its weights and a checkpoint."""
    (out / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    (out / "checkpoints" / "checkpoint-1" / "optimizer.pt").write_bytes(b"o" * 2000)
    (out / "weights").write_bytes(b"w" * 100)
    return {"number": number}


def step(root: Path, number: int) -> Step:
    return Step("policy", "", "dpo", policy, {"number": number}, root, FileDigests(root / ".digests.json"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Policies 1, 2 and 3; run `first` links to 1, run `second` names 2 as its model."""
    root = tmp_path / "outputs"
    for number in (1, 2, 3):
        build(step(root, number))
    for name in ("first", "second"):
        (root / "runs" / name).mkdir(parents=True)
    point(root / "runs" / "first" / "policy", step(root, 1).folder)
    (root / "runs" / "second" / "config.yaml").write_text(f"model:\n  path: {step(root, 2).folder}/final\n")
    (root / "runs" / "second" / "result.json").write_text('{"state": "done", "steps": {}}')
    return root


def record(root: Path, name: str, content: str) -> Path:
    """A run without links, as a copy has it, whose result.json has this text."""
    run = root / "runs" / name
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("alpha: 1.0\n")
    (run / "result.json").write_text(content)
    return run


def half_written(root: Path, number: int, *files: str) -> Path:
    """The folder of an attempt that was killed: its lock's file, its inputs, and what it had written."""
    folder = step(root, number).folder
    for name in ("inputs.yaml", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("half")
    lock_of(root, number).touch()
    return folder


def lock_of(root: Path, number: int) -> Path:
    return root / ".locks" / f"policy-{step(root, number).key[:16]}.lock"


def left(root: Path) -> set[str]:
    return {path.name for path in (root / "policy").iterdir()}


def names(root: Path, *numbers: int) -> set[str]:
    return {step(root, number).folder.name for number in numbers}


def test_listing_names_sizes_and_reasons_and_deletes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(root.rglob("*"))
    clean(root, delete_found=False)
    lines = capsys.readouterr().out.splitlines()
    (unused,) = [line for line in lines if "no run or sweep uses it" in line]
    assert unused.endswith(str(step(root, 3).folder))
    finished = [line for line in lines if "checkpoints of a finished training" in line]
    assert [line.split()[:2] for line in finished] == [["2", "KiB"]] * 2  # 2000 bytes each
    assert lines[-1].startswith("3 folders with ")
    assert lines[-1].endswith("task=clean clean.delete=true deletes it")
    assert sorted(root.rglob("*")) == before


def test_what_a_run_links_to_or_names_stays_whole_without_its_checkpoints(root: Path) -> None:
    clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2)
    assert not list(root.rglob("checkpoint*"))
    for number in (1, 2):
        assert read_done(step(root, number)) is not None


def test_a_second_cleaning_finds_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(root, delete_found=True)
    capsys.readouterr()
    clean(root, delete_found=True)
    assert capsys.readouterr().out.endswith("nothing to clean\n")


def test_a_sweep_keeps_its_reports_and_its_policies(root: Path) -> None:
    jobs = root / "sweeps" / "alpha-01234567" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "0.json").write_text(json.dumps({"policy_key": step(root, 3).key, "report": None}))
    clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


@pytest.mark.parametrize("links", ["followed", "dropped"])
def test_a_copy_that_has_no_links_loses_nothing(root: Path, tmp_path: Path, links: str) -> None:
    used = {"policy": {"key": step(root, 3).key, "folder": step(root, 3).place}}
    point(record(root, "20260101-000000-dpo-abcdef", json.dumps({"steps": used})) / "policy", step(root, 3).folder)
    shutil.rmtree(root / "runs" / "first")
    copied = tmp_path / "copied"
    shutil.copytree(root, copied)
    if links == "dropped":
        shutil.rmtree(copied / "runs" / "20260101-000000-dpo-abcdef" / "policy")
    clean(copied, delete_found=True)
    assert left(copied) == names(root, 2, 3)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is damaged"),
        ("[]", "is damaged"),
        ('{"state": "failed"}', "it neither names its steps in result.json nor links to them"),
        ('{"steps": ["policy"]}', "its steps cannot be read"),
    ],
)
def test_a_run_that_does_not_tell_what_it_needs_stops_the_cleaning(root: Path, content: str, why: str) -> None:
    run = record(root, "third", content)
    before = sorted(root.rglob("*"))
    for delete_found in (False, True):
        with pytest.raises(UsageError, match=rf"^task=clean: {run}\S*: {why}, so what it needs is not known and noth"):
            clean(root, delete_found=delete_found)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("runs", [None, Path.touch, lambda path: path.symlink_to("not-mounted")])
def test_outputs_without_their_runs_lose_nothing(root: Path, runs: Callable[[Path], None] | None) -> None:
    """Steps were copied without the runs, or the runs lie on a disk that is not mounted."""
    shutil.rmtree(root / "runs")
    if runs:
        runs(root / "runs")
    with pytest.raises(
        UsageError, match=r"^task=clean: \S+/runs is missing, so it is not known which steps are needed; "
    ):
        clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


def test_an_empty_folder_of_runs_needs_nothing(root: Path) -> None:
    shutil.rmtree(root / "runs")
    (root / "runs").mkdir()
    clean(root, delete_found=True)
    assert left(root) == set()


def test_settings_of_a_run_that_cannot_be_read_stop_the_cleaning(root: Path) -> None:
    (root / "runs" / "second" / "config.yaml").unlink()
    (root / "runs" / "second" / "config.yaml").mkdir()
    with pytest.raises(UsageError, match=r"^task=clean: \S+/second/config\.yaml: cannot be read"):
        clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


@pytest.mark.parametrize("damaged", [Path.touch, Path.mkdir])
def test_a_job_of_a_sweep_that_cannot_be_read_stops_the_cleaning(root: Path, damaged: Callable[[Path], None]) -> None:
    (root / "sweeps" / "alpha-01234567" / "jobs").mkdir(parents=True)
    damaged(root / "sweeps" / "alpha-01234567" / "jobs" / "0.json")
    with pytest.raises(UsageError, match=r"^task=clean: \S+/alpha-01234567/jobs/0\.json: is damaged"):
        clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


def test_runs_that_were_tidied_into_a_folder_are_runs(root: Path) -> None:
    used = {"policy": {"key": step(root, 3).key, "folder": step(root, 3).place}}
    record(root, "old/20260101-000000-dpo-abcdef", json.dumps({"steps": used}))
    (root / "runs" / ".20260102-000000-dpo-abcdef").mkdir()  # one that begins, or was killed in its first moment
    clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


def test_what_somebody_builds_stays(root: Path) -> None:
    half_written(root, 4)
    with FileLock(lock_of(root, 4)), FileLock(lock_of(root, 3)):
        clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3, 4)
    clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2)


def test_what_somebody_reads_stays(root: Path) -> None:
    with reading(step(root, 3)):
        clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


def test_a_killed_training_stays_as_long_as_its_run_has_a_record(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (4, 5):
        half_written(root, number, "checkpoints/checkpoint-2/COMPLETE")
    half_written(root, 6, "checkpoints/checkpoint-2/optimizer.pt")
    for number in (4, 6):
        point(root / "runs" / "first" / f"policy{number}", step(root, number).folder)
    clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 4)
    assert f"unfinished, its command resumes from it: {step(root, 4).folder}" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "kept"), [("rewards", "scored/17-0.jsonl"), ("logps", "shards/17-0.jsonl")])
def test_what_a_killed_scoring_has_kept_is_gone_on_from(tmp_path: Path, kind: str, kept: str) -> None:
    folder = StepFolder(tmp_path, kind, "name-01234567", "01234567", None)
    assert not goes_on(folder)
    (tmp_path / kept).parent.mkdir()
    assert not goes_on(folder)
    (tmp_path / kept).touch()
    assert goes_on(folder)


def test_what_was_set_aside_goes_unless_it_is_the_only_copy(root: Path) -> None:
    for number in (1, 2):
        folder = step(root, number).folder
        (folder.parent / f"{folder.name}.damaged-17").mkdir()
        os.rename(folder, f"{folder}.replaced")
    build(step(root, 2))
    half_written(root, 1)  # a rebuild that failed
    clean(root, delete_found=True)
    assert left(root) == names(root, 2) | {f"{name}.replaced" for name in names(root, 1)}


def test_a_folder_in_the_place_of_a_link_is_moved_aside(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    latest = root / "runs" / "latest"
    shutil.copytree(root / "runs" / "second", latest)
    point(latest, root / "runs" / "first")
    assert latest.resolve() == (root / "runs" / "first").resolve()
    (aside,) = (root / "runs").glob("latest.damaged-*")
    assert (aside / "config.yaml").is_file()
    assert caplog.messages == [f"{latest}: was a folder instead of a link; moved to {aside.name}"]


def test_a_run_that_began_after_the_list_was_made_keeps_what_it_links_to(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_a_run_begins(found: object) -> None:
        point(root / "runs" / "second" / "policy", step(root, 3).folder)

    monkeypatch.setattr("apm_exp.jobs.clean.task._print", then_a_run_begins)
    for name in ("first", "second"):
        os.utime(root / "runs" / name, (time.time() - 3600,) * 2)
    clean(root, delete_found=True)
    assert left(root) == names(root, 1, 2, 3)


def test_links_are_not_followed_and_what_no_step_made_is_not_touched(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    mine = [root / "policy" / "notes", root / "models" / "my_model-0123abcd", elsewhere / "kept-0123abcd"]
    for folder in mine:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (elsewhere / "kept-0123abcd" / "inputs.yaml").touch()
    (root / "logps").symlink_to(elsewhere)
    (root / "policy" / "linked-0123abcd").symlink_to(elsewhere / "kept-0123abcd")
    (step(root, 3).folder / "data").symlink_to(elsewhere)
    clean(root, delete_found=True)
    assert all((folder / "config.json").is_file() for folder in mine)
    assert left(root) == names(root, 1, 2) | {"notes", "linked-0123abcd"}


def test_a_folder_that_cannot_be_deleted_is_named_and_the_others_go(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    remove = shutil.rmtree

    def refuse(path: Path) -> None:
        if path.name == step(root, 3).folder.name:
            raise PermissionError(13, "Permission denied")
        remove(path)

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(
        ValueError, match=r"^output_root=\S+: 1 could not be deleted, the first: \S+ \(Permission denied"
    ):
        clean(root, delete_found=True)
    assert not list(root.rglob("checkpoint-1")) or left(root) == names(root, 1, 2, 3)


def test_the_command_cleans_what_a_real_run_left_and_the_run_is_found_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["dataset.prompts=60", "model.steps=5", "evals=held_out_pairs", "tracking=none"]
    run += ["trainer.keep_checkpoints=1", "trainer.save_every=1"]
    first = apm_exp(tmp_path, *run)
    assert first.returncode == 0, first.stderr
    (trained,) = folders(tmp_path, "policy")
    assert list(trained.glob("checkpoints/checkpoint-*"))
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    listed = started(tmp_path, "task=clean")
    assert listed.returncode == 0, listed.stderr
    assert "torch" not in {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
    monkeypatch.delenv("PYTHONPROFILEIMPORTTIME")
    assert "1 folder with " in listed.stdout
    assert apm_exp(tmp_path, "task=clean", "clean.delete=true").stdout.rstrip().endswith("deleted")
    assert not (trained / "checkpoints").exists()
    again = apm_exp(tmp_path, *run)
    assert "\n10 steps reused: " in again.stderr, again.stderr
    refused = apm_exp(tmp_path, "-m", "task=clean", "seed=0,1")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
