"""The dataset component for the Hugging Face Hub; the only one that uses the network."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apm_exp.data.rows import SourceRow, without_fill


def held_out_rows(
    *, path: str, holdout_split: str | None = None, subset: str | None, revision: str | None
) -> Iterator[SourceRow]:
    """The rows of the split that is held out, as `hub` reads the other; none without one."""
    if holdout_split is None:
        return iter(())
    rows = _loaded(path, holdout_split, subset, revision, setting="holdout_split")
    source = f"{path}/{holdout_split}"
    return (
        SourceRow(f"{source}:{number}", without_fill(row), None, held_out=True) for number, row in enumerate(rows, 1)
    )


def hub(*, path: str, split: str, subset: str | None, revision: str | None) -> Iterator[SourceRow]:
    """The rows of one split of a dataset on the Hub, or in a local folder laid out like one.

    split: as in `datasets.load_dataset`, slices such as "train[:1000]" too. The source of a row is
    "path/split:row". Raises ValueError `dataset.path=...` where it cannot be loaded: no network and not
    cached, no such name, no access.
    """
    rows = _loaded(path, split, subset, revision)
    return (SourceRow(f"{path}/{split}:{number}", without_fill(row), None) for number, row in enumerate(rows, 1))


def _loaded(path: str, split: str, subset: str | None, revision: str | None, setting: str = "split") -> Any:
    import datasets

    try:
        return datasets.load_dataset(path, name=subset, split=split, revision=revision)
    except Exception as error:  # libraries below raise a dozen unrelated types for the same few causes
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        settings = f"dataset.{setting}={split} dataset.subset={subset} dataset.revision={revision}"
        remedy = (
            "check the name, these settings, the network (HF_HUB_OFFLINE set?) and access (hf auth login)"
            ", or download its files and use dataset=jsonl"
        )
        raise ValueError(f"dataset.path={path}: cannot be loaded with {settings}: {cause}; {remedy}") from error


@functools.cache
def commit_of(path: str, revision: str | None) -> str | None:
    """The commit that a revision of a Hub dataset stands for now; asked once a process.

    The revision itself for a local folder, and where the Hub cannot be asked: what is cached is then what is read.
    """
    if Path(path).exists():
        return revision
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(path, revision=revision, timeout=10).sha
    except Exception:  # the Hub's client and the two below it have no type in common
        return revision
