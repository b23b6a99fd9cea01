"""Stage: checked preference pairs with their split, from a data set or from responses that were sampled here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.told import ask
from apm_exp.pipeline.work import Counts

VERSION = 5  # 5: the column holdout_rank in place of split


def pairs(
    out: Path, *, dataset: Mapping[str, Any], sampled: Mapping[str, Any] | None, on_bad_row: str
) -> dict[str, int]:
    """Write pairs.parquet (sorted by pair_id) and refused.jsonl, and return the counts of rows and prompts.

    sampled: the artifacts `generations` and `rewards` (of these), and `pairing`, the node of the pairing rule. The
    pairs then have the sampled tokens (sampled_ids.py), and the data set's function is not called. If it also has
    `prompts` (of the responses) and `seeds` (the prompts of the data set), the hold-out is by the families of the
    seeds, so that it is the same in all iterations (families.py). Prompts from which no pair can be made are refused,
    but not counted as bad rows. Raises ValueError as `prepare_pairs`, and for a data set that cannot be read.
    """
    from apm_exp.data.generate.families import family_ranks
    from apm_exp.data.generate.pair_rows import pair_rows
    from apm_exp.data.sources.drawn import drawn
    from apm_exp.data.sources.preflight import where_of
    from apm_exp.data.sources.prepare import prepare_pairs
    from apm_exp.data.sources.reader import held_out_rows, reader
    from apm_exp.data.sources.sampled_ids import add_sampled_ids

    if sampled is None:
        node = {**dataset, "on_bad_row": on_bad_row}
        rows = drawn(reader(node), **component.settings_of(drawn, node))
        settings = component.settings_of(prepare_pairs, node)
        return prepare_pairs(out, rows, where_of(node), held_out_rows(node), **settings)
    table = sampled["generations"].path / "generations.parquet"
    rule = component.bind("pairing", sampled["pairing"])
    rank_of, families = None, {}
    if "seeds" in sampled:
        seeds, prompts = (sampled[name].path / "prompts.parquet" for name in ("seeds", "prompts"))
        rank_of, number = family_ranks(seeds, prompts, dataset["seed"])
        families = {"prompts": number}
    rows = pair_rows(table, sampled["rewards"].path / "rewards.parquet", rule, rank_of)
    settings = component.settings_of(prepare_pairs, {**dataset, "on_bad_row": "refuse"})
    counts = prepare_pairs(out, rows, f"generations {table}", **settings)
    add_sampled_ids(out / "pairs.parquet", table)
    return counts | families | {"bad_rows": 0}


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of pairs: those of the pairing rule for each prompt, or one per row of the files."""
    from apm_exp.data.sources.count import count_rows

    if inputs["sampled"] is None:
        rows: float | None = count_rows(inputs["dataset"])
    else:
        rows = known[inputs["sampled"]["generations"].key].get("prompts")
        if rows is not None:
            rows *= most_of_prompt(inputs["sampled"]["pairing"], inputs["sampled"]["generations"].inputs["generate"])
    return {} if rows is None else {"pairs": rows}


def most_of_prompt(pairing: Mapping[str, Any], generate: Mapping[str, Any]) -> int:
    """Return how many pairs a pairing rule makes of a prompt's responses at most: `most_pairs` of its module, or 1."""
    most: int | None = ask("pairing", pairing, "most_pairs", generate["samples"]) if "samples" in generate else None
    return 1 if most is None else most


def _check_columns(sampled: Mapping[str, Any]) -> None:
    """Raise ValueError if the pairing rule reads the rewards of several sources and there is one."""
    from apm_exp.data.generate.pair_rows import reads_columns

    rule = component.locate("pairing", sampled["pairing"])
    if reads_columns(rule) and "sources" not in sampled["rewards"].inputs:
        problem = "reads the rewards of several sources, and there is one"
        raise ValueError(f"pairing={component.name_of(sampled['pairing'])}: {problem}; use reward=mixture")


def foresee(inputs: Mapping[str, Any], _built: Mapping[str, Artifact]) -> None:
    """Raise ValueError if only one response per prompt is sampled, since no pair can be made from it, or if the pairing
    rule needs several reward sources.
    """
    if inputs["sampled"] is not None:
        _check_columns(inputs["sampled"])
        samples = inputs["sampled"]["generations"].inputs["generate"].get("samples")
        if samples == 1:
            raise ValueError("generate.samples=1: a pair needs two responses; give at least 2")
