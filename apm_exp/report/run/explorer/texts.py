"""The texts that the explorer lists: those of the pairs around the cut, and of some over the whole range of values."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.escaped import escaped
from apm_exp.core.messages import read_messages, text_of
from apm_exp.report.redact import last_parts
from apm_exp.report.run.examples import shortened
from apm_exp.report.run.explorer.ranked import Ranked, values

MOST_LISTED = 1000
LONGEST = 160  # characters of each text
OTHER_ALPHAS = (0.0, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MOST_BYTES, _PAGE, _PAIR = 500_000, 1_600_000, 15  # of all texts; of all texts and pairs; of a pair's numbers


def listed(ranked: Ranked, pair_id_P: np.ndarray, pairs: Path) -> list[list[Any]]:
    """Return [row, pair_id, source, prompt, chosen, rejected] of the listed pairs, with shortened texts.

    row: among the embedded pairs. There are as many as fit into a page of 2 MB, those at the cut first.
    """
    order = preferred(ranked)[:MOST_LISTED]
    names = {int(row): str(pair_id_P[ranked.rows_S[row]]) for row in order}
    texts = _texts(pairs, [*names.values()])
    left = min(_MOST_BYTES, _PAGE - _PAIR * len(ranked.rows_S))
    rows: list[list[Any]] = []
    for row, name in names.items():
        entry = [row, name, *texts[name]]
        left -= len(json.dumps(entry, ensure_ascii=False).encode())
        if left < 0 and rows:
            break
        rows.append(entry)
    return rows


def preferred(ranked: Ranked) -> np.ndarray:
    """Return all embedded pairs, by turns the next one from the cut, the cuts of other alphas, and anywhere."""
    near = [_nearest(ranked.value_S, ranked.kept)]
    if ranked.explicit is not None:
        margins = ranked.explicit.decoded_P, ranked.implicit.decoded_P
        near += [_nearest(values(*margins, ranked.sigmas, alpha), ranked.kept) for alpha in OTHER_ALPHAS]
    by_turns = np.column_stack([*near, np.random.default_rng(0).permutation(len(ranked.value_S))]).ravel()
    _, first = np.unique(by_turns, return_index=True)
    preferred: np.ndarray = by_turns[np.sort(first)]
    return preferred


def _nearest(value_S: np.ndarray, kept: int) -> np.ndarray:
    """Return the pairs in the order of how many others are between them and the cut."""
    order = np.argsort(-value_S, kind="stable")
    return order[np.argsort(np.abs(np.arange(len(order)) - kept + 0.5), kind="stable")]


def _texts(pairs: Path, names: list[str]) -> dict[str, list[str]]:
    columns = ["pair_id", "source", "prompt", "chosen", "rejected"]
    table = pq.read_table(pairs / "pairs.parquet", columns=columns, filters=pc.field("pair_id").isin(names))
    return {row["pair_id"]: [*_shown(row)] for row in table.to_pylist()}


def _shown(row: dict[str, Any]) -> Iterator[str]:
    yield escaped(last_parts(row["source"]))
    for part in ("prompt", "chosen", "rejected"):
        messages = read_messages(row[part])
        text = text_of(messages[-1]) if messages else ""
        yield "\n".join(map(escaped, shortened(text, LONGEST).split("\n")))
