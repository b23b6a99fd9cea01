"""Example pairs for the report: the highest values, both sides of the cut, and the lowest values."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.messages import fields_of, read_messages, text_of
from apm_exp.report.run.scored_pairs import ScoredPairs

EACH = 2
LONGEST_TITLE, LONGEST_PROMPT, LONGEST_RESPONSE = 90, 800, 1600


def example_rows(scored: ScoredPairs) -> dict[str, list[int]]:
    """Return the rows of the example pairs by group, each pair once, by decreasing value (ties by pair_id)."""
    order = np.lexsort((scored.pair_id_P, -scored.value_P))
    kept = [int(row) for row in order if scored.kept_P[row]]
    other = [int(row) for row in order if not scored.kept_P[row]]
    groups = {
        "Highest values": kept[:EACH],
        "Last kept": kept[-EACH:],
        "First not kept": other[:EACH],
        "Lowest values": other[-EACH:],
    }
    shown: set[int] = set()
    unique = {}
    for name, rows in groups.items():
        unique[name] = [row for row in rows if row not in shown]
        shown.update(rows)
    return {name: rows for name, rows in unique.items() if rows}


def examples(scored: ScoredPairs, pairs: Path) -> list[dict[str, Any]]:
    """Return groups of example pairs with their numbers and shortened texts; the texts are not escaped yet."""
    groups = example_rows(scored)
    texts = _texts(pairs, [str(scored.pair_id_P[row]) for rows in groups.values() for row in rows])
    return [{"name": name, "pairs": [_example(scored, row, texts) for row in rows]} for name, rows in groups.items()]


def _texts(pairs: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    columns = ["pair_id", "prompt", "chosen", "rejected", "tools"]
    table = pq.read_table(pairs / "pairs.parquet", columns=columns, filters=pc.field("pair_id").isin(names))
    return {row["pair_id"]: row for row in table.to_pylist()}


def _example(scored: ScoredPairs, row: int, texts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    name = str(scored.pair_id_P[row])
    return {
        "pair_id": name,
        "kept": bool(scored.kept_P[row]),
        "value": float(scored.value_P[row]),
        "explicit": None if scored.explicit_P is None else float(scored.explicit_P[row]),
        "implicit": float(scored.implicit_P[row]),
        "chosen_len": int(scored.chosen_len_P[row]),
        "rejected_len": int(scored.rejected_len_P[row]),
        "title": title_of(texts[name]["prompt"]),
        "tools": shortened(texts[name]["tools"] or "", LONGEST_PROMPT),
        "prompt": turns_of(texts[name]["prompt"], LONGEST_PROMPT),
        "chosen": turns_of(texts[name]["chosen"], LONGEST_RESPONSE),
        "rejected": turns_of(texts[name]["rejected"], LONGEST_RESPONSE),
    }


def turns_of(messages: Iterable[Mapping[str, Any]], longest: int) -> list[dict[str, Any]]:
    """Return each turn with its role, its text, and its other fields as text: reasoning_content, tool_calls, ..."""
    return [
        {
            "role": message["role"],
            "content": shortened(text_of(message), longest),
            "fields": {name: shortened(_text(field), longest) for name, field in fields_of(message).items()},
        }
        for message in read_messages(messages)
    ]


def _text(field: Any) -> str:
    return field if isinstance(field, str) else json.dumps(field, ensure_ascii=False)


def title_of(prompt: list[dict[str, Any]]) -> str:
    """Return the last turn of a prompt on one line."""
    last = text_of(prompt[-1]) if prompt else ""
    line = " ".join(last.split())
    return line if len(line) <= LONGEST_TITLE else f"{line[:LONGEST_TITLE].rstrip()}…"


def shortened(text: str, longest: int) -> str:
    """Return the text, or its first `longest` characters and the number of omitted ones."""
    if len(text) <= longest:
        return text
    return f"{text[:longest].rstrip()} … ({len(text) - longest:,} more characters)"
