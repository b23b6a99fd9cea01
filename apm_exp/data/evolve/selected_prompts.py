"""The prompts of the pairs that a selection keeps."""

from collections.abc import Iterator, Mapping

import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import canonical
from apm_exp.core.messages import read_messages, read_tools
from apm_exp.data.generate.known_prompts import known_prompts
from apm_exp.data.sources.rows import SourceRow


def selected_prompts(prompts: Artifact, scored_pairs: Artifact, selection: Artifact) -> Iterator[SourceRow]:
    """Yield the prompts of the kept pairs, each once, in the order of the prompts."""
    kept = pq.read_table(selection.path / "selection.parquet", columns=["pair_id"], filters=[("kept", "==", True)])
    ids = set(kept["pair_id"].to_pylist())
    pairs = pq.read_table(scored_pairs.path / "pairs.parquet", columns=["pair_id", "prompt", "tools"])
    rows = (row for row in pairs.to_pylist() if row["pair_id"] in ids)
    chosen = {canonical([read_messages(row["prompt"]), read_tools(row["tools"])]) for row in rows}
    yield from (each.row() for each in known_prompts(prompts) if canonical([each.messages, each.tools]) in chosen)


def rows_from(known: Mapping[str, Mapping[str, float]]) -> float | None:
    """Return the most prompts: one per kept pair."""
    return known["selection"].get("kept")
