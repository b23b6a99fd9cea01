"""What W&B keeps of a run's files: the selection, a sample of its pairs, and the report without local folders."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.report.tracking import send
from apm_exp.report.tracking.sample import sample_of_pairs
from tests.offline_run import read_offline_run
from tests.report.tracking.jobs import job_in, mirror

STEP = "map-micro-0123abcd"


def write_selection(folder: Path, pairs: int, value: float = 1.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "pair_id": [f"p{index}" for index in range(pairs)],
        "explicit_margin": [index / 10 for index in range(pairs)],
        "implicit_margin": [-index / 10 for index in range(pairs)],
        "term": [0.0] * pairs,
        "value": [value * index for index in range(pairs)],
        "kept": [index % 2 == 0 for index in range(pairs)],
    }
    pq.write_table(pa.table(columns), folder / "selection.parquet", row_group_size=7)
    return folder


def write_report(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>model.path=/home/me/models/sft, 5 &gt; 3</p>")
    return folder


def test_selection_sample_and_report_are_recorded(tmp_path: Path) -> None:
    selection, report = write_selection(tmp_path / STEP, 10), write_report(tmp_path / "report" / STEP)
    with mirror(job_in(tmp_path), artifacts=True) as mirrored:
        mirrored.row({"step": 1, "loss": 0.5})
        mirrored.send([selection], report)
    run = read_offline_run(tmp_path)
    sent = [artifact for artifact in run.artifacts if artifact[0] in ("selection", "report")]
    assert sent == [
        ("selection", f"selection-{STEP}", ["selection.parquet"]),
        ("report", f"report-{STEP}", ["report.html"]),
    ]
    table = {part: run.summary[f"selection/sample/{part}"] for part in ("_type", "nrows", "ncols")}
    assert table == {"_type": "table-file", "nrows": 10, "ncols": 5}
    assert not (tmp_path / ".local").exists()  # W&B's own place for copies, outside of the outputs
    assert (tmp_path / "run-1" / "report_sent.html").read_text() == "<p>model.path=.../sft, 5 &gt; 3</p>"


def test_the_selections_of_all_parts_are_sent_and_share_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "MOST_PAIRS", 12)
    selections = [write_selection(tmp_path / name, 10) for name in ("one", "two")]
    with mirror(job_in(tmp_path), artifacts=True) as mirrored:
        mirrored.send(selections, None)
    run = read_offline_run(tmp_path)
    sent = [name for kind, name, _ in run.artifacts if kind == "selection"]
    assert (sent, run.summary["selection/sample/nrows"]) == (["selection-one", "selection-two"], 12)


def test_artifacts_can_be_left_out(tmp_path: Path) -> None:
    selection, report = write_selection(tmp_path / STEP, 10), write_report(tmp_path / "report" / STEP)
    with mirror(job_in(tmp_path), artifacts=False) as mirrored:
        mirrored.send([selection], report)
    run = read_offline_run(tmp_path)
    assert (run.artifacts, "selection/sample/_type" in run.summary, run.exit_code) == ([], False, 0)


def test_a_file_that_is_too_large_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(send, "MEGABYTE", 1)  # the limit of 100 is bytes now
    caplog.set_level("INFO", "apm_exp")
    selection, report = write_selection(tmp_path / STEP, 10), write_report(tmp_path / "report" / STEP)
    with mirror(job_in(tmp_path), artifacts=True) as mirrored:
        mirrored.send([selection], report)
    kinds = {kind for kind, *_ in read_offline_run(tmp_path).artifacts}
    assert ("selection" in kinds, "report" in kinds) == (False, True)
    assert "tracking.artifact_megabytes=100 is the limit" in caplog.text


def test_a_selection_that_cannot_be_read_is_a_warning_and_the_run_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mirror(job_in(tmp_path), artifacts=True) as mirrored:
        mirrored.send([tmp_path / "none"], tmp_path / "none")
    assert "W&B cannot take the selection and the report: FileNotFoundError" in caplog.text
    assert read_offline_run(tmp_path).exit_code == 0


def test_a_sample_is_of_the_same_pairs_whatever_their_values(tmp_path: Path) -> None:
    one = sample_of_pairs(write_selection(tmp_path / "one", 50) / "selection.parquet", most=20)
    other = sample_of_pairs(write_selection(tmp_path / "other", 50, value=-3.0) / "selection.parquet", most=20)
    assert one["pair_id"].to_pylist() == other["pair_id"].to_pylist()
    assert len(set(one["pair_id"].to_pylist())) == 20
    for row in one.to_pylist():
        index = int(row["pair_id"][1:])
        assert row["explicit_margin"] == index / 10
        assert (row["implicit_margin"], row["value"], row["kept"]) == (-index / 10, index, index % 2 == 0)


def test_a_small_selection_is_its_own_sample(tmp_path: Path) -> None:
    table = sample_of_pairs(write_selection(tmp_path, 10) / "selection.parquet", most=20)
    assert table["pair_id"].to_pylist() == [f"p{index}" for index in range(10)]
