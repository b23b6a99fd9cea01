"""The whole circle, as a user has it: run, export, load with datasets and TRL, and choose the same pairs again."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from apm_exp.core.errors import UsageError
from apm_exp.core.messages import read_messages
from apm_exp.core.sealed import read_sealed, write_sealed
from apm_exp.core.split import number_held_out
from apm_exp.report.export.find_run import find_run
from apm_exp.report.export.finished_run import read_run
from apm_exp.report.export.task import export
from tests.command import apm_exp, folders

SETTINGS = {"path": None, "overwrite": False, "sort": "value", "policy": False, "push": None, "private": True}
RUN = ["dataset.prompts=60", "model.steps=5", "evals=held_out_pairs", "tracking=none"]


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a run, and that of its export with the policy's weights."""
    root = tmp_path_factory.mktemp("circle")
    made = apm_exp(root, *RUN, f"output_root={root}/outputs")
    assert made.returncode == 0, made.stderr
    written = apm_exp(root, "task=export", "export.path=subset", "export.policy=true")
    assert written.returncode == 0, written.stderr
    return root, root / "subset"


def kept(selection: Path) -> list[str]:
    table = pq.read_table(selection / "selection.parquet")
    return table.filter(table["kept"])["pair_id"].to_pylist()


def test_the_rows_are_exactly_the_kept_pairs_with_their_scores(circle: tuple[Path, Path]) -> None:
    root, subset = circle
    (selection,) = (root / "outputs" / "runs" / "latest").glob("selection")
    rows = pq.read_table(subset / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert sorted(row["pair_id"] for row in rows) == kept(selection)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    for row in rows:
        assert re.fullmatch(r"kept: reward sees -?\d+\.\d sigma, policy -?\d+\.\d", row["reason"])
        assert re.fullmatch(r".*generations.parquet:\d+", row["source"])
        assert row["pair_id"].startswith(row["prompt_id"])  # the row's own
        assert row["explicit_margin"] == row["chosen_reward"] - row["rejected_reward"]
        implicit = row["chosen_logp"] / row["chosen_len"] - row["rejected_logp"] / row["rejected_len"]
        assert row["implicit_margin"] == pytest.approx(implicit, abs=1e-12)
        assert row["value"] == row["explicit_term"] - row["implicit_term"]
    pairs = pq.read_table(root / "outputs" / "runs" / "latest" / "pairs" / "pairs.parquet").to_pylist()
    texts = {row["pair_id"]: row for row in pairs}
    parts = ("prompt", "chosen", "rejected")
    assert all(row[part] == read_messages(texts[row["pair_id"]][part]) for row in rows for part in parts)
    held_out = pq.read_table(subset / "data" / "test-00000-of-00001.parquet")["pair_id"].to_pylist()
    number = number_held_out(len({row["holdout_rank"] for row in pairs}), 0.05)
    assert held_out == [row["pair_id"] for row in pairs if row["holdout_rank"] < number]
    assert len(held_out) >= number > 0


def test_the_rows_can_have_the_order_of_pair_id_and_the_file_is_named(
    circle: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, subset = circle
    run = json.loads((subset / "apm_exp.json").read_text())["made_from"]["run"]
    export(root / "outputs", run, SETTINGS | {"sort": "pair_id", "path": str(tmp_path / "ids")})
    file = tmp_path / "ids" / "data" / "train-00000-of-00001.parquet"
    assert capsys.readouterr().out.rstrip().endswith(f" pairs of {run}: {file}")
    by_value = pq.read_table(subset / "data" / "train-00000-of-00001.parquet")
    assert pq.read_table(file).equals(by_value.sort_by("pair_id"))


def test_no_file_names_a_folder_of_this_machine(circle: tuple[Path, Path]) -> None:
    root, subset = circle
    files = [path for path in subset.rglob("*") if path.is_file()]
    assert {"README.md", "apm_exp.json", "model.safetensors", "config.json"} <= {path.name for path in files}
    assert not [path for path in files if str(root).encode() in path.read_bytes()]


def test_the_cards_are_the_hubs_and_say_what_was_done(circle: tuple[Path, Path]) -> None:
    from huggingface_hub import DatasetCard, ModelCard

    root, subset = circle
    counts = json.loads((root / "outputs/runs/latest/selection/done").read_text())["counts"]
    sampled = json.loads((root / "outputs/runs/latest/logps/done").read_text())["counts"]["as_sampled"]
    card = DatasetCard.load(subset / "README.md")
    assert card.data.license == "unknown"
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    refused = (root / "outputs/runs/latest/pairs/refused.jsonl").read_text().count("\n")
    for expected in (
        f"| kept | {counts['kept']} of {counts['pairs']} pairs (",
        "| alpha | 0.25 |",
        "| rule | top_fraction (fraction 0.4) |",
        "| sampling | nothing was refused | 0 |",
        f"| pairing | empty response | {refused} |",
        f"python -m apm_exp {shlex.join(RUN)} keep=ids keep.path=FOLDER",
        f"python -m apm_exp {shlex.join(RUN)} output_root=outputs\n",
        f"{sampled:,} pairs were scored on the exact tokens that the policy sampled;",
    ):
        assert expected in card.text, expected
    model = ModelCard.load(subset / "policy" / "README.md")
    scores = json.loads((root / "outputs/runs/latest/evaluation.held_out_pairs/scores.json").read_text())
    assert model.data.pipeline_tag == "text-generation"
    assert model.text.count("| held_out_pairs |") == sum(not name.startswith("starting_") for name in scores)
    assert "| objective | dpo (beta 0.5" in model.text


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # TRL's own call
def test_datasets_loads_it_and_trl_trains_on_it(circle: tuple[Path, Path], tmp_path: Path) -> None:
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer
    from trl.data_utils import is_conversational, maybe_apply_chat_template, maybe_extract_prompt

    root, subset = circle
    loaded = load_dataset(str(subset), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "test"}
    policy = subset / "policy"
    tokenizer = AutoTokenizer.from_pretrained(policy)
    for row in loaded["train"]:
        assert is_conversational({"prompt": row["prompt"]})
        assert maybe_extract_prompt(row) == row  # what CPOTrainer, for SimPO, does first
        texts = maybe_apply_chat_template({part: row[part] for part in ("prompt", "chosen", "rejected")}, tokenizer)
        assert texts["chosen"].startswith(row["chosen"][0]["content"])
        assert row["prompt"][-1]["content"] in texts["prompt"]
        for part in ("prompt", "chosen", "rejected"):  # SimPO's scripts: lists of messages, the answers one turn each
            assert [set(message) for message in row[part]] == [{"role", "content"}] * len(row[part])
    arguments = DPOConfig(
        output_dir=str(tmp_path / "trl"),
        max_steps=1,
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        gradient_checkpointing=None,
    )
    model = AutoModelForCausalLM.from_pretrained(policy)
    trainer = DPOTrainer(model, args=arguments, train_dataset=loaded["train"], processing_class=tokenizer)
    assert trainer.train().global_step == 1
    tables = [pq.read_table(folder / "logps.parquet") for folder in folders(root, "logps")]
    scored = {row["pair_id"]: row["chosen_ids"] for table in tables for row in table.to_pylist()}
    for row in trainer.train_dataset:  # a truncated response was scored as it was sampled; its text gets an end token
        ids = scored[row["pair_id"]]
        assert row["chosen_ids"] == ids + [tokenizer.eos_token_id] * (ids[-1] != tokenizer.eos_token_id)


def test_the_same_pairs_are_chosen_and_trained_on_again(circle: tuple[Path, Path]) -> None:
    root, subset = circle
    selections, policies = folders(root, "selection"), folders(root, "policy")
    again = apm_exp(root, *RUN, "keep=ids", f"keep.path={subset}")
    assert again.returncode == 0, again.stderr
    (selection,) = set(folders(root, "selection")) - set(selections)
    (policy,) = set(folders(root, "policy")) - set(policies)
    assert kept(selection) == kept(selections[0])
    assert json.loads((selection / "done").read_text())["counts"]["within_noise"] == 0
    weights = "final/model.safetensors"
    assert (policy / weights).read_bytes() == (policies[0] / weights).read_bytes()


def test_the_same_again_is_not_written_and_what_is_wrong_is_one_line(
    circle: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root, subset = circle
    before = {path: path.stat().st_mtime_ns for path in subset.rglob("*")}
    run = json.loads((subset / "apm_exp.json").read_text())["made_from"]["run"]
    export(root / "outputs", run, SETTINGS | {"path": str(subset), "policy": True})
    first, heading, *best = capsys.readouterr().out.splitlines()
    assert first.endswith("already has them; nothing was written")
    assert heading.split() == ["rank", "value", "reason", "source"]
    rows = pq.read_table(subset / "data" / "train-00000-of-00001.parquet").to_pylist()[:3]
    assert [line.split()[0] for line in best] == ["1", "2", "3"]
    assert all(row["reason"] in line and row["source"] in line for line, row in zip(best, rows, strict=True))
    assert before == {path: path.stat().st_mtime_ns for path in subset.rglob("*")}
    with pytest.raises(ValueError, match=r"^export\.path=\S+: contains another export, of run "):
        export(root / "outputs", run, SETTINGS | {"path": str(subset)})
    unknown = apm_exp(root, "task=export", "run=nothing")
    swept = apm_exp(root, "-m", "task=export", "seed=0,1")
    assert [(one.returncode, one.stderr.count("\n")) for one in (unknown, swept)] == [(2, 1), (2, 1)]
    assert unknown.stderr.startswith("error: run=nothing: no such run; the newest are ")
    assert swept.stderr == "error: task=export: exports one run at a time; leave out -m\n"


def test_a_copy_without_links_is_exported_too_and_a_run_of_two_builds_is_not(
    circle: tuple[Path, Path], tmp_path: Path
) -> None:
    root, subset = circle
    run = json.loads((subset / "apm_exp.json").read_text())["made_from"]["run"]
    copied = tmp_path / "outputs"
    shutil.copytree(root / "outputs", copied, symlinks=True)
    for link in [path for path in (copied / "runs").rglob("*") if path.is_symlink()]:
        link.unlink()
    there, here = (read_run(find_run(outputs, run)).steps for outputs in (root / "outputs", copied))
    assert {name: step.key for name, step in here.items()} == {name: step.key for name, step in there.items()}
    assert "models" in here
    assert all(step.path.is_relative_to(copied) for step in here.values())
    assert find_run(copied, "latest").parent == copied / "runs"
    done = here["policy"].path / "done"
    write_sealed(read_sealed(done) | {"build": "another"}, done)
    with pytest.raises(
        UsageError, match=r"^run=\S+: policy/\S+ has been rebuilt since its step evaluation\.held_out_pairs"
    ):
        read_run(find_run(copied, run))


def test_names_of_other_pairs_stop_a_run_before_the_scoring_and_it_is_not_exported(circle: tuple[Path, Path]) -> None:
    root, _ = circle
    (root / "ids.txt").write_text("not-one-of-them\n")
    refused = apm_exp(root, *RUN, "keep=ids", "keep.path=ids.txt")
    assert refused.returncode == 1
    *before, last = refused.stderr.splitlines()
    assert " steps reused: " in before[-1]
    record = json.loads((root / "outputs" / "runs" / "latest" / "result.json").read_text())
    assert {name: record["steps"][name]["state"] for name in ("pairs", "logps")} == {
        "pairs": "failed",
        "logps": "waiting",
    }
    assert last.startswith("error: keep.path=ids.txt: 1 of 1 pairs are not among the training pairs (pair_id not-one")
    run = (root / "outputs" / "runs" / "latest").resolve()
    with pytest.raises(
        ValueError, match=r"^run=\S+: failed \(.*training pairs.*\); re-run the line in \S+command.txt to resume"
    ):
        export(root / "outputs", run.name, SETTINGS)
    write_sealed(read_sealed(run / "result.json") | {"state": "done"}, run / "result.json")
    with pytest.raises(ValueError, match=r"^run=\S+: its step selection is missing; the line in"):
        export(root / "outputs", run.name, SETTINGS)


def test_a_run_s_command_is_read_from_its_record(circle: tuple[Path, Path]) -> None:
    """command.txt may be damaged: what a card says of the run does not hang on it."""
    record = min(circle[0].glob("outputs/runs/2*/result.json"))  # the first run
    text = record.with_name("command.txt")
    before = text.read_bytes()
    try:
        text.write_bytes(b"\xff\xfe")
        assert read_run(record.parent).command == before.decode().strip()
    finally:
        text.write_bytes(before)
