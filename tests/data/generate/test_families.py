"""Where the prompts of evolving pipelines are in the order in which prompts are held out."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.messages import stored
from apm_exp.core.types import Message
from apm_exp.data.generate.families import family_ranks
from apm_exp.data.sources.holdout import prompt_order
from apm_exp.pipeline.stages.prompts import SCHEMA


def messages(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def written(path: Path, *prompts: tuple[str, str | None]) -> Path:
    """A file of prompts whose ids are their texts. prompts: text and parent."""
    rows: list[dict[str, Any]] = [
        {"prompt_id": text, "prompt": stored(messages(text)), "source": "here", "parent_id": parent}
        for text, parent in prompts
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    return path


def test_an_evolved_prompt_has_the_place_of_its_parent_and_others_come_last(tmp_path: Path) -> None:
    seeds = written(tmp_path / "seeds.parquet", ("a", None), ("b", None), ("c", None))
    prompts = written(tmp_path / "prompts.parquet", ("b", None), ("b harder", "b"), ("a harder", "a"), ("new", "else"))
    first, second, third = sorted("abc", key=lambda text: prompt_order(messages(text), seed=7))
    place = {first: 0, second: 1, third: 2}
    expected = {"b": place["b"], "b harder": place["b"], "a harder": place["a"], "new": 3}
    assert family_ranks(seeds, prompts, seed=7) == (expected, 3)
