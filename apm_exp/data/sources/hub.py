"""The dataset component for the Hugging Face Hub; the only one that uses the network."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from apm_exp.data.sources.hub_copies import cached_commits
from apm_exp.data.sources.rows import SourceRow, without_fill

_Path = Annotated[str, Field(min_length=1)]
_ROWS = {  # about how many, as the Hub's pages show them, of what the presets name
    "princeton-nlp/gemma2-ultrafeedback-armorm": {"train": 59_600, "test": 1_940},
    "princeton-nlp/llama3-ultrafeedback-armorm": {"train": 59_900, "test": 1_960},
    "princeton-nlp/llama3-ultrafeedback": {"train": 59_900, "test": 1_960},
}
_COMMIT = re.compile("[0-9a-f]{40}")


def held_out_rows(
    *, path: _Path, holdout_split: str | None = None, subset: str | None, revision: str | None
) -> Iterator[SourceRow]:
    """Yield the rows of the held-out split, read as `hub` reads the other; none without a holdout_split."""
    if holdout_split is None:
        return iter(())
    rows = _loaded(path, holdout_split, subset, revision, setting="holdout_split")
    source = f"{path}/{holdout_split}"
    return (SourceRow(f"{source}:{number}", _unfilled(row), None, held_out=True) for number, row in enumerate(rows, 1))


def hub(*, path: _Path, split: str, subset: str | None, revision: str | None) -> Iterator[SourceRow]:
    """Yield the rows of one split of a dataset on the Hub, or in a local folder with the same layout.

    split: as in `datasets.load_dataset`, including slices such as "train[:1000]". The source of a row is
    "path/split:row". Raises ValueError `dataset.path=...` if it cannot be loaded: no network and not cached, no such
    name, no access.
    """
    rows = _loaded(path, split, subset, revision)
    return (SourceRow(f"{path}/{split}:{number}", _unfilled(row), None) for number, row in enumerate(rows, 1))


def _unfilled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: without_fill(value) for name, value in row.items()}


def _loaded(path: str, split: str, subset: str | None, revision: str | None, setting: str = "split") -> Any:
    import datasets

    try:
        # datasets' cache of local files only checks their times
        mode = "force_redownload" if Path(path).exists() else None
        rows = datasets.load_dataset(path, name=subset, split=split, revision=revision, download_mode=mode)
    except Exception as error:  # the libraries raise a dozen unrelated types for the same few causes
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        settings = f"dataset.{setting}={split} dataset.subset={subset} dataset.revision={revision}"
        remedy = (
            "check the name, these settings, the network (HF_HUB_OFFLINE set?) and access (hf auth login)"
            ", or download its files and use dataset=jsonl"
        )
        raise ValueError(f"dataset.path={path}: cannot be loaded with {settings}: {cause}; {remedy}") from error
    _check_commit(rows, path, revision)
    return rows


def pin(*, path: _Path, revision: str | None, subset: str | None) -> dict[str, Any]:
    """Return the commit of a dataset as its revision. Raises ValueError as commit_of."""
    return {"revision": commit_of(path, revision, subset)}


def is_here(*, path: _Path, revision: str | None, subset: str | None) -> bool:
    """Return whether it can be told which commit is meant."""
    try:
        commit_of(path, revision, subset)
    except ValueError:
        return False
    return True


def about_rows(
    *, path: _Path, split: str, holdout_split: str | None = None, limit: int | None = None
) -> tuple[int | None, int | None]:
    """Return about how many rows there are to train on and in the held-out split, for plans; None if nobody knows."""
    known = _ROWS.get(path, {})
    counts = (known.get(split, limit), known.get(holdout_split, limit) if holdout_split else 0)
    train, held_out = (count if count is None or limit is None else min(count, limit) for count in counts)
    return train, held_out


def hub_name(*, path: _Path) -> str | None:
    """Return the dataset's name on the Hub; None for a local folder."""
    return None if Path(path).exists() else path


@functools.cache
def commit_of(path: str, revision: str | None, subset: str | None) -> str | None:
    """Return the commit of a Hub dataset's revision, queried once per process, or the revision of a local folder.

    If the Hub is unreachable, it is the commit of the cached copy that would be read; ValueError if that is unknown.
    """
    if Path(path).exists() or (revision and _COMMIT.fullmatch(revision)):
        return revision
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(path, revision=revision, timeout=10).sha
    except Exception as error:  # the exceptions of the Hub's client and its dependencies have no common base class
        known = cached_commits(path, subset)
        if revision is None and known:
            return known[-1]
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        copies = f"copies of {', '.join(known)} are cached" if known else "no copy is cached"
        remedy = "set one of these, " if known else ""
        raise ValueError(
            f"dataset.revision={revision or 'null'}: the Hub did not return the commit of {path} ({cause}), "
            f"and {copies}; {remedy}download it on a machine with network access, or use dataset=jsonl"
        ) from error


def _check_commit(rows: Any, path: str, revision: str | None) -> None:
    """Raise ValueError if another commit was read than requested: without a network, datasets uses any cached copy."""
    read = {Path(file["filename"]).parent.name for file in rows.cache_files}
    others = sorted(commit for commit in read if _COMMIT.fullmatch(commit) and commit != revision)
    if others and revision and _COMMIT.fullmatch(revision):
        remedy = f"download it on a machine with network access, or set dataset.revision={others[0]}"
        raise ValueError(f"dataset.revision={revision}: the cached copy of {path} has commit {others[0]}; {remedy}")
