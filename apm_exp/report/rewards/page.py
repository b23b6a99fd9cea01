"""The page of an evaluation of a reward source: its scores, a figure, and the pairs that it gets most wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.component import name_of
from apm_exp.report.describe import source_name
from apm_exp.report.render import render
from apm_exp.report.rewards.margins import margins_figure
from apm_exp.report.rewards.ratings import ratings_figure
from apm_exp.report.run.examples import LONGEST_PROMPT, LONGEST_RESPONSE, title_of, turns_of
from apm_exp.report.scores import interval_level, read_scores, results

WORST = 8


def write_page(responses: Artifact, evaluation: Artifact, nodes: Mapping[str, Any], path: Path) -> Path:
    """Write the page of an evaluation of pairs, or of rated responses, to `path`.

    nodes: of the data set (dataset), of the reward source (reward), of the evaluation (score).
    """
    rows = pq.read_table(evaluation.path / "evaluation.parquet")
    reward, model = name_of(nodes["reward"]), source_name(nodes["reward"])
    are_pairs = responses.kind == "pairs"
    context = {
        "title": f"{reward} on {source_name(nodes['dataset'])} | apm_exp rewards",
        "reward": reward if model == reward else f"{reward} ({model})",
        "dataset": source_name(nodes["dataset"]),
        "level": interval_level(nodes["score"]),
        "results": [each.score for each in results("", read_scores({"": evaluation.path})[""])],
        "counts": {"all": int(responses.counts["pairs" if are_pairs else "responses"]), "rewarded": len(rows)},
        "are_pairs": are_pairs,
        "figure": _drawing(rows, are_pairs),
        "worst": _worst(rows, responses.path) if are_pairs else [],
    }
    return render("rewards.html.jinja", context, path)


def _drawing(rows: pa.Table, are_pairs: bool) -> dict[str, Any]:
    if are_pairs:
        svg, notes = margins_figure(rows["reward_margin"].to_numpy())
    else:
        svg, notes = ratings_figure(rows["rating"].to_numpy(), rows["reward"].to_numpy())
    return {"svg": svg, "notes": notes}


def _worst(rows: pa.Table, pairs: Path) -> list[dict[str, Any]]:
    """Return the pairs with the most negative margins, with their texts; ties by pair_id."""
    wrong = rows.filter(pc.less(rows["reward_margin"], 0))
    wrong = wrong.sort_by([("reward_margin", "ascending"), ("pair_id", "ascending")]).slice(0, WORST).to_pylist()
    names = [row["pair_id"] for row in wrong]
    columns = ["pair_id", "prompt", "chosen", "rejected"]
    table = pq.read_table(
        pairs / "pairs.parquet", columns=columns, filters=pc.field("pair_id").isin(pa.array(names, pa.string()))
    )
    texts = {row["pair_id"]: row for row in table.to_pylist()}
    return [_example(row, texts[row["pair_id"]]) for row in wrong]


def _example(row: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pair_id": row["pair_id"],
        "margin": row["reward_margin"],
        "chosen_reward": row["chosen_reward"],
        "rejected_reward": row["rejected_reward"],
        "title": title_of(texts["prompt"]),
        "prompt": turns_of(texts["prompt"], LONGEST_PROMPT),
        "chosen": turns_of(texts["chosen"], LONGEST_RESPONSE),
        "rejected": turns_of(texts["rejected"], LONGEST_RESPONSE),
    }
