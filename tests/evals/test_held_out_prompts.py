import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import stored
from apm_exp.core.types import Message
from apm_exp.data.generate.prompts import read_prompts
from apm_exp.data.sources.pairs_table import PAIRS_SCHEMA
from apm_exp.evals.held_out_prompts import held_out_prompts, rows
from tests.splits import ranks


def pairs(folder, *prompts):
    """Pairs as their stage writes them: of each the prompt, its tools and its split."""
    table = [
        {"pair_id": f"{number:03}", "prompt": stored(prompt), "tools": tools, "source": f"f:{number}"}
        | {"holdout_rank": ranks([split])[0]}
        for number, (prompt, tools, split) in enumerate(prompts)
    ]
    pq.write_table(pa.Table.from_pylist(table, PAIRS_SCHEMA), folder / "pairs.parquet")
    return Artifact("pairs", folder, "key", {"prompts": 0}, 0.0)


def user(text):
    return Message(role="user", content=text)


def test_held_out_prompts_are_whole_and_each_is_there_once(tmp_path):
    turns = [Message(role="system", content="brief"), user("hi"), Message(role="assistant", content="?"), user("go")]
    tools = '[{"type": "function", "function": {"name": "look"}}]'
    given = pairs(
        tmp_path,
        (turns, None, "held_out"),
        (turns, None, "held_out"),  # another pair of the prompt
        ([user("hi")], tools, "held_out"),
        ([user("hi")], None, "held_out"),  # without the tools it is another prompt
        ([user("trained on")], None, "train"),
    )
    found = read_prompts(held_out_prompts(given, 0.0, prompts=10))
    assert not found.refused
    known = [(prompt.messages, bool(prompt.tools)) for prompt in found.accepted]
    expected = [(turns, False), ([user("hi")], True), ([user("hi")], False)]
    assert sorted(known, key=str) == sorted(expected, key=str)


def test_fewer_prompts_are_a_part_of_more_whatever_the_order_of_the_pairs(tmp_path):
    prompts = [([user(f"prompt {number}")], None, "held_out") for number in range(20)]
    for name in ("forward", "backward"):
        (tmp_path / name).mkdir()
    every = [row.row for row in held_out_prompts(pairs(tmp_path / "forward", *prompts), 0.0, prompts=100)]
    few = [row.row for row in held_out_prompts(pairs(tmp_path / "backward", *reversed(prompts)), 0.0, prompts=7)]
    assert len(every) == 20
    assert few == every[:7]
    assert few != [{"prompt": prompt, "tools": None} for prompt, _, _ in prompts[:7]]  # a random sample
    assert rows(prompts=7) == 7
