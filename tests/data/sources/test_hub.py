import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.sorted_parquet import rows_of_split
from apm_exp.core.split import held_out_split, train_split
from apm_exp.data.sources.holdout import holdout_of
from apm_exp.data.sources.hub import commit_of, held_out_rows, hub
from apm_exp.pipeline.stages.pairs import pairs
from tests.data.sources.sources import SETTINGS, prepared, simpo_row


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_a_local_folder_laid_out_like_a_hub_dataset_is_read(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([simpo_row(0), simpo_row(1)]), folder / "train-00000-of-00001.parquet")
    rows = list(hub(path=str(folder), split="train", subset=None, revision=None))
    assert [row.source for row in rows] == [f"{folder}/train:1", f"{folder}/train:2"]
    assert rows[1].row == simpo_row(1)
    assert prepared(tmp_path / "out", rows).counts["pairs"] == 2


def test_the_rows_of_the_held_out_split_are_the_held_out_pairs(tmp_path):
    """Of three training pairs all are ranked; the two of the test split are held out, a limit reads as many of each."""
    folder = tmp_path / "own"
    folder.mkdir()
    for split, numbers in {"train": (0, 1, 2), "test": (3, 4)}.items():
        rows = [simpo_row(number) for number in numbers]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    node = {"_target_": "apm_exp.data.sources.hub.hub", "path": str(folder), "split": "train", "holdout_split": "test"}
    node |= SETTINGS | {"subset": None, "revision": None}
    assert holdout_of(node | {"holdout": "auto"}, None) == 0
    for limit, trained, held_out in ((None, 3, 2), (1, 1, 1)):
        out = tmp_path / str(limit)
        out.mkdir()
        counts = pairs(out, dataset=node | {"limit": limit}, sampled=None, on_bad_row="refuse")
        artifact = Artifact("pairs", out, "key", counts, 0.0)
        assert rows_of_split(out / "pairs.parquet", train_split(artifact, 0)) == trained
        aside = held_out_split(artifact, 0).read(out / "pairs.parquet", ["source"])["source"].to_pylist()
        assert sorted(aside) == [f"{folder}/test:{number}" for number in range(1, held_out + 1)]


def test_a_local_file_of_the_same_size_and_time_is_read_again(tmp_path):
    """The library's own copies go by time: rows of the old content would get the key of the new one."""
    file = tmp_path / "own" / "train.jsonl"
    file.parent.mkdir()
    read = []
    for prompt in ("one", "two"):
        file.write_text(json.dumps(simpo_row() | {"prompt": prompt}) + "\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        (row,) = hub(path=str(file.parent), split="train", subset=None, revision=None)
        read.append(row.row["prompt"])
    assert read == ["one", "two"]


def test_a_split_that_is_not_there_is_one_line(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([simpo_row()]), folder / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r'cannot be loaded with dataset\.split=bogus .*Unknown split "bogus"'):
        hub(path=str(folder), split="bogus", subset=None, revision=None)
    with pytest.raises(ValueError, match=r"cannot be loaded with dataset\.holdout_split=bogus "):
        held_out_rows(path=str(folder), holdout_split="bogus", subset=None, revision=None)


def test_no_network_is_one_line_with_the_remedy(monkeypatch):
    import datasets

    def unreachable(*arguments, **settings):
        raise ConnectionError("Couldn't reach 'owner/name' on the Hub\n(LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(ValueError, match=r"^dataset\.path=owner/name: ") as caught:
        hub(path="owner/name", split="train", subset=None, revision="abc")
    assert str(caught.value) == (
        "dataset.path=owner/name: cannot be loaded with dataset.split=train dataset.subset=None "
        "dataset.revision=abc: ConnectionError: Couldn't reach 'owner/name' on the Hub (LocalEntryNotFoundError); "
        "check the name, these settings, the network (HF_HUB_OFFLINE set?) and access (hf auth login), or download "
        "its files and use dataset=jsonl"
    )


FIRST, SECOND = "12" * 20, "34" * 20


def copies(cache, *commits, name="owner___some_name/default"):
    """Copies as `datasets` leaves them, the last one the newest."""
    for age, commit in enumerate(reversed(commits)):
        folder = cache / name / "0.0.0" / commit
        folder.mkdir(parents=True)
        os.utime(folder, (1_700_000_000 - age, 1_700_000_000 - age))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    commit_of.cache_clear()
    yield tmp_path / "cache"
    commit_of.cache_clear()


def test_where_the_hub_cannot_be_asked_a_dataset_is_the_copy_that_is_read(offline):
    copies(offline, FIRST, SECOND)
    assert commit_of("owner/SomeName", None, None) == SECOND
    assert commit_of("owner/SomeName", FIRST, None) == FIRST
    copies(offline, FIRST, name="owner___some_name/other")
    assert commit_of("owner/SomeName", None, "other") == FIRST


@pytest.mark.usefixtures("offline")
def test_a_dataset_whose_commit_nobody_tells_is_refused(offline):
    with pytest.raises(ValueError, match=r"^dataset\.revision=null: the Hub did not .* owner/name .* no copy is"):
        commit_of("owner/name", None, None)
    copies(offline, FIRST, SECOND)
    with pytest.raises(ValueError, match=rf"^dataset\.revision=main: .* copies of {FIRST}, {SECOND} are cached; set"):
        commit_of("owner/SomeName", "main", None)


def test_another_commit_than_the_one_that_was_asked_for_is_not_read(tmp_path, monkeypatch):
    import datasets

    folder = tmp_path / "own"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([simpo_row()]), folder / "train-00000-of-00001.parquet")
    rows = datasets.load_dataset(str(folder), split="train")
    copy = tmp_path / SECOND / "rows.arrow"
    copy.parent.mkdir()
    shutil.copy(rows.cache_files[0]["filename"], copy)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_file(str(copy)))
    with pytest.raises(
        ValueError, match=rf"^dataset\.revision={FIRST}: the cached copy of owner/name has commit {SECOND}"
    ):
        hub(path="owner/name", split="train", subset=None, revision=FIRST)
    assert len(list(hub(path="owner/name", split="train", subset=None, revision=SECOND))) == 1
