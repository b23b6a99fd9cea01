"""The export of a run that stopped before training, as someone has it who only wants to know which pairs to keep."""

import json
import shlex
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from apm_exp.report.export.task import export
from tests.command import apm_exp
from tests.report.export.test_export import RUN, SETTINGS, kept


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run with until=selection, and the line that it has shown before its verdict."""
    root = tmp_path_factory.mktemp("selected")
    made = apm_exp(root, *RUN, "until=selection")
    assert made.returncode == 0, made.stderr
    *_, line, verdict = made.stderr.splitlines()
    assert verdict.startswith(
        "nothing was trained; whether M_AP beat random selection is not known from one run: python"
    )
    return root, line


def newest(root: Path) -> Path:
    return (root / "outputs" / "runs" / "latest").resolve()


def copy_of_the_run(root: Path, name: str, until: str) -> Path:
    """A second record of the run, with another `until` in it."""
    copy = newest(root).with_name(name)
    shutil.copytree(newest(root), copy, symlinks=True)
    config = (copy / "config.yaml").read_text()
    assert "until: selection\n" in config
    (copy / "config.yaml").write_text(config.replace("until: selection\n", f"until: {until}\n"))
    return copy


def test_its_line_says_what_was_kept_and_its_command_writes_it(selected: tuple[Path, str]) -> None:
    root, line = selected
    said, page, command = line.split(" | ")
    record = json.loads((newest(root) / "result.json").read_text())
    assert (record["headline"], f"report: {record['report']}") == (said, page)
    assert (root / record["report"]).samefile(newest(root) / "report" / "report.html")
    counts = record["steps"]["selection"]["counts"]
    words, _, path = said.partition(": ")
    assert words == f"{counts['kept']} of {counts['pairs']} pairs kept by map, alpha 0.25; none held out"
    assert counts["pairs"] == record["steps"]["pairs"]["counts"]["pairs"]
    assert len(pq.read_table(root / path)) == counts["pairs"]
    command = command.removeprefix("their texts: ")
    assert shlex.split(command) == ["python", "-m", "apm_exp", "task=export", f"run={newest(root).name}"]
    written = apm_exp(root, *shlex.split(command)[3:])
    assert written.returncode == 0, written.stderr
    assert len(list(root.glob(f"outputs/exports/{newest(root).name}/data/train-*.parquet"))) == 1


def test_the_kept_pairs_are_written_with_a_card_that_names_no_training(selected: tuple[Path, str]) -> None:
    from huggingface_hub import DatasetCard

    root, _ = selected
    written = apm_exp(root, "task=export", "export.path=subset")
    assert written.returncode == 0, written.stderr
    subset = root / "subset"
    rows = pq.read_table(subset / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert sorted(row["pair_id"] for row in rows) == kept(newest(root) / "selection")
    assert all(row["prompt"] and row["chosen"] and row["rejected"] for row in rows)
    files = {path.relative_to(subset).as_posix() for path in subset.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("data/")} == {"README.md", "apm_exp.json"}
    card = DatasetCard.load(subset / "README.md")
    assert card.data.pretty_name == "map (alpha 0.25) on micro_world"
    assert "Nothing was trained on them: the run stopped at its selection" in card.text
    assert f"| kept | {len(rows)} of " in card.text


def test_there_are_no_weights_to_copy(selected: tuple[Path, str]) -> None:
    root, _ = selected
    with pytest.raises(ValueError, match=r"^export\.policy=true: run \S+ has no trained policy; remove export\.policy"):
        export(root / "outputs", "latest", SETTINGS | {"policy": True})


def test_a_policy_that_was_asked_for_and_is_not_there_is_gone(selected: tuple[Path, str]) -> None:
    root, _ = selected
    copy = copy_of_the_run(root, "deleted-policy", "null")
    with pytest.raises(
        ValueError, match=r"^run=deleted-policy: its step policy is missing; the line in \S+ rebuilds it"
    ):
        export(root / "outputs", copy.name, SETTINGS)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"until: {"])
@pytest.mark.parametrize("name", ["config.yaml", "result.json"])
def test_a_damaged_record_is_named(selected: tuple[Path, str], name: str, content: bytes) -> None:
    root, _ = selected
    copy = copy_of_the_run(root, "damaged-record", "selection")
    try:
        (copy / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"^run=damaged-record: \S+{name} is damaged; "):
            export(root / "outputs", copy.name, SETTINGS)
    finally:
        shutil.rmtree(copy)


def test_a_run_that_only_scored_has_nothing_to_export(selected: tuple[Path, str]) -> None:
    root, _ = selected
    before = newest(root)
    scored = apm_exp(root, *RUN, "until=logps")
    assert scored.returncode == 0, scored.stderr
    refused = apm_exp(root, "task=export")
    run = newest(root)
    (run.parent / "latest").unlink()
    (run.parent / "latest").symlink_to(before.name)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(f"error: run={run.name}: it has no selection, as it stopped at until=logps; ")
    assert "without until=logps" in refused.stderr
