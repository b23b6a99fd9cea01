"""Steps of evolving pipelines from a few texts, by the stages that build them in a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import read_messages
from apm_exp.core.types import Message
from apm_exp.pipeline.stages.prompts import prompts

ROOM = "apm_exp.data.evolve"
STRATEGIES = ["breadth", "deepening"]


def made(
    root: Path, target: str, given: dict[str, Artifact] | None, seeds: Artifact | None = None, **own: Any
) -> Artifact:
    """The prompts of a component that reads earlier steps."""
    root.mkdir(parents=True)
    node = {"_target_": target, **own}
    also = {} if seeds is None else {"seeds": seeds}
    counts = prompts(root, dataset=node, limit=None, skip=0, draw_seed=None, on_bad_row="refuse", given=given, **also)
    return Artifact("prompts", root, root.name, counts, 0.0)


def data_set(root: Path, rows: Sequence[str | list[Message]]) -> Artifact:
    """The prompts of a file."""
    file = root.with_suffix(".jsonl")
    file.write_text("".join(json.dumps({"prompt": row}) + "\n" for row in rows))
    return made(root, "apm_exp.data.sources.jsonl.jsonl", None, path=str(file))


def asked(root: Path, seeds: Artifact) -> Artifact:
    """The instructions to rewrite each prompt by each strategy."""
    return made(root, f"{ROOM}.instructions.instructions", {"prompts": seeds}, strategies=STRATEGIES)


def evolved(root: Path, seeds: Artifact, instructions: Artifact, replies: Sequence[str | tuple[str, bool]]) -> Artifact:
    """The rewrites that pass, from one reply to each instruction, which is finished unless it comes with False."""
    texts = [(reply, True) if isinstance(reply, str) else reply for reply in replies]
    ids = pq.read_table(instructions.path / "prompts.parquet")["prompt_id"]
    table = {"prompt_id": ids, "responses": [[text] for text, _ in texts], "finished": [[end] for _, end in texts]}
    folder = root.with_name(f"{root.name}-replies")
    folder.mkdir()
    pq.write_table(pa.table(table), folder / "generations.parquet")
    given = {"prompts": seeds, "instructions": instructions, "replies": Artifact("generations", folder, "", {}, 0.0)}
    return made(root, f"{ROOM}.rewrites.rewrites", given, seeds, strategies=STRATEGIES, length_ratio=5.0)


def texts(step: Artifact) -> list[dict[str, Any]]:
    """The rows of a step's prompts."""
    return pq.read_table(step.path / "prompts.parquet").to_pylist()


def kept(root: Path, seeds: Artifact, marks: Sequence[bool]) -> dict[str, Artifact]:
    """Pairs of the prompts, and a selection of them."""
    ids = [f"pair {number}" for number in range(len(marks))]
    tables = {
        "pairs": pa.table({"pair_id": ids, **_columns(seeds)}),
        "selection": pa.table({"pair_id": ids, "kept": list(marks)}),
    }
    for name, table in tables.items():
        (root / name).mkdir()
        pq.write_table(table, root / name / f"{name}.parquet")
    steps = {name: Artifact(name, root / name, name, {}, 0.0) for name in tables}
    return {"prompts": seeds, "scored_pairs": steps["pairs"], "selection": steps["selection"]}


def _columns(seeds: Artifact) -> dict[str, Any]:
    table = pq.read_table(seeds.path / "prompts.parquet", columns=["prompt", "tools"])
    return dict(zip(table.column_names, table.columns, strict=True))


def conversation(row: dict[str, Any]) -> list[str]:
    """The texts of the turns of a prompt."""
    return [str(turn["content"]) for turn in read_messages(row["prompt"])]
