"""task=export: a finished run's kept pairs as a data set for training, with cards and optionally the policy."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apm_exp.core.console import print_line, wide_screen
from apm_exp.core.errors import UsageError
from apm_exp.core.step_names import of_kind
from apm_exp.report.export.atomic_folder import place
from apm_exp.report.export.cards import write_dataset_card, write_model_card
from apm_exp.report.export.find_run import find_run
from apm_exp.report.export.finished_run import FinishedRun, read_run
from apm_exp.report.export.first_rows import first_rows
from apm_exp.report.export.kept_pairs import held_out_pairs, kept_pairs
from apm_exp.report.export.other_settings import check_settings_of
from apm_exp.report.export.parquet_shards import write_shards
from apm_exp.report.export.parts import name_of, parts_of
from apm_exp.report.export.push import POLICY, check_can_push, push

VERSION = 4


def export(root: Path, run: str, settings: Mapping[str, Any], typed: Mapping[str, Any] | None = None) -> None:
    """Write the export of a run to export.path, or below root/exports, and upload it if export.push is set.

    settings: the node `export`. typed: other typed settings, which must equal those of the run. An existing identical
    export is only uploaded. Raises a one-line ValueError.
    """
    repo = settings["push"]
    if repo:
        check_can_push(repo)
    finished = read_run(find_run(root, run))
    check_settings_of(finished, typed or {})
    policy = settings["policy"]
    if policy and finished.policy is None:
        raise UsageError(f"export.policy=true: run {finished.name} has no trained policy; remove export.policy")
    target = Path(settings["path"] or root / "exports" / finished.name).expanduser()
    written = place(
        target,
        {
            "version": VERSION,
            "run": finished.name,
            "policy": policy,
            "sort": settings["sort"],
            "steps": _keys(finished),
        },
        lambda folder: write_export(finished, folder, with_weights=policy, by_value=settings["sort"] == "value"),
        root=root,
        overwrite=settings["overwrite"],
    )
    counted = f"{_kept(finished):,} pairs of {finished.name}{_which(finished)}"
    files = sorted((target / "data").glob("train-*.parquet"))
    named = _named(files)
    print_line(f"{counted}: {named}" if written else f"{counted}: {named} already has them; nothing was written")
    if settings["sort"] == "value":
        wide_screen().print(first_rows(files[0]))
    for address in push(target, repo, private=settings["private"], policy=policy) if repo else []:
        print_line(f"sent to {address}" + (" (private)" if settings["private"] else ""))


def _named(files: Sequence[Path]) -> str:
    """Return the file of the kept pairs; a pattern if there are several."""
    return str(files[0]) if len(files) == 1 else f"{files[0].parent / 'train-*.parquet'} ({len(files)} files)"


def write_export(run: FinishedRun, folder: Path, *, with_weights: bool, by_value: bool) -> None:
    """Write data/ and README.md to an empty folder, and policy/ if the run has trained.

    by_value: sort the kept pairs by rank, instead of by pair_id.
    """
    shards = folder / "data"
    shards.mkdir()
    rows = {"train": write_shards(kept_pairs(run, folder if by_value else None), shards, "train")}
    assert rows["train"] == _kept(run), "the written pairs are not exactly the kept ones"
    if held_out := write_shards(held_out_pairs(run), shards, "test"):
        rows["test"] = held_out
    write_dataset_card(run, rows, folder / "README.md", by_value=by_value)
    if run.policy and with_weights:
        shutil.copytree(run.policy.path / "final", folder / POLICY)
    if run.policy:
        write_model_card(run, with_weights=with_weights, path=folder / POLICY / "README.md")


def _kept(run: FinishedRun) -> int:
    return sum(int(part.selection.counts["kept"]) for part in parts_of(run))


def _which(run: FinishedRun) -> str:
    """Return the names of the selections in brackets, if the run has several."""
    names = [name_of(run, part.selection) for part in parts_of(run)]
    return f" ({', '.join(names)})" if len(of_kind(run.steps, "selection")) > 1 else ""


def _keys(run: FinishedRun) -> dict[str, str]:
    return {name: step.key for name, step in run.steps.items()}
