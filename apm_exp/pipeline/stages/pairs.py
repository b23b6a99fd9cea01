"""The stage that turns a dataset into checked, split preference pairs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apm_exp.core import component

if TYPE_CHECKING:
    from apm_exp.core.artifact import Artifact

VERSION = 2


def pairs(out: Path, *, dataset: Mapping[str, Any], generations: "Artifact | None", on_bad_row: str) -> dict[str, int]:
    """Write out/pairs.parquet (sorted by pair_id) and out/refused.jsonl; return the counts of rows.

    generations: where the rows were generated here, they are read from it, with the tokens that were sampled
    (sampled_ids.py), and the dataset's function is not called. Raises ValueError as `prepare_pairs`, and for a
    dataset that cannot be read.
    """
    from apm_exp.data.sources.generated import generated_rows
    from apm_exp.data.sources.preflight import where_of
    from apm_exp.data.sources.prepare import prepare_pairs
    from apm_exp.data.sources.reader import held_out_rows, reader
    from apm_exp.data.sources.sampled_ids import add_sampled_ids

    dataset = {**dataset, "on_bad_row": on_bad_row}
    read = reader(dataset)
    settings = component.settings_of(prepare_pairs, dataset)
    if generations is None:
        return prepare_pairs(out, read(), where_of(dataset), held_out_rows(dataset), **settings)
    table = generations.path / "generations.parquet"
    counts = prepare_pairs(out, generated_rows(table), f"generations {table}", **settings)
    add_sampled_ids(out / "pairs.parquet", table)
    return counts
