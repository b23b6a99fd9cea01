"""Evolved prompts from the instructions, the replies to them, and the stage that takes what passes."""

import json
from collections import Counter
from pathlib import Path

import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Message
from apm_exp.data.evolve import instructions, rewrites, selected_prompts, united_prompts
from tests.data.evolve.steps import ROOM, asked, conversation, data_set, evolved, kept, made, texts

TURNS = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hello."),
    Message(role="assistant", content="Hello!"),
    Message(role="user", content="Name three rivers of France."),
]


@pytest.fixture
def seeds(tmp_path: Path) -> Artifact:
    return data_set(tmp_path / "seeds", ["Explain how tides work.", TURNS])


@pytest.fixture
def instructed(tmp_path: Path, seeds: Artifact) -> Artifact:
    return asked(tmp_path / "asked", seeds)


def test_the_policy_is_asked_once_a_prompt_and_strategy(seeds: Artifact, instructed: Artifact) -> None:
    rows = texts(instructed)
    assert [row["strategy"] for row in rows] == ["breadth", "deepening"] * 2
    first, second = (row["prompt_id"] for row in texts(seeds))
    assert [row["parent_id"] for row in rows] == [first, first, second, second]
    assert "<prompt>\nExplain how tides work.\n</prompt>" in conversation(rows[0])[0]
    assert "assistant: Hello!" in conversation(rows[2])[0]
    assert "<prompt>\nName three rivers of France.\n</prompt>" in conversation(rows[2])[0]
    assert instructions.rows_from({"prompts": {"prompts": 2}}, strategies=["breadth", "deepening"]) == len(rows)


def test_a_rewrite_replaces_the_last_turn_and_knows_its_parent(
    tmp_path: Path, seeds: Artifact, instructed: Artifact
) -> None:
    replies = ["Explain how geysers work.", "Explain why tides differ by place.", "Name three lakes of Chile.", ""]
    step = evolved(tmp_path / "evolved", seeds, instructed, replies)
    rows = texts(step)
    assert [conversation(row)[-1] for row in rows] == replies[:3]
    assert conversation(rows[2])[:3] == ["Be brief.", "Hello.", "Hello!"]
    assert [row["strategy"] for row in rows] == ["breadth", "deepening", "breadth"]
    assert [row["parent_id"] for row in rows] == [row["parent_id"] for row in texts(instructed)[:3]]
    assert step.counts == {"rows": 4, "prompts": 3, "refused": 1}
    assert rewrites.rows_from({"replies": {"prompts": 4}}) == 4


def test_duplicates_of_rewrites_and_of_the_data_set_are_refused(tmp_path: Path) -> None:
    seeds = data_set(tmp_path / "seeds", ["Explain how tides work.", "Name a sea."])
    replies = ["Explain how geysers work."] * 2 + [("Name a lake of Chile or", False), "Explain how tides work."]
    step = evolved(tmp_path / "evolved", seeds, asked(tmp_path / "asked", seeds), replies)
    assert reasons(step) == {"duplicate prompt": 2, "truncated": 1}
    assert [conversation(row) for row in texts(step)] == [["Explain how geysers work."]]
    refused = [json.loads(line) for line in (step.path / "refused.jsonl").read_text().splitlines()]
    assert [(row["strategy"], row["text"]) for row in refused] == [
        ("deepening", "Explain how geysers work."),
        ("breadth", "Name a lake of Chile or"),
        ("deepening", "Explain how tides work."),
    ]
    first, second = (row["prompt_id"] for row in texts(seeds))
    assert [row["parent_id"] for row in refused] == [first, second, second]


def test_the_prompts_of_two_steps_are_united(tmp_path: Path, seeds: Artifact, instructed: Artifact) -> None:
    step = evolved(tmp_path / "evolved", seeds, instructed, ["Explain how geysers work.", "", "", ""])
    given = {"prompts": seeds, "evolved": step}
    rows = texts(made(tmp_path / "all", f"{ROOM}.united_prompts.united_prompts", given))
    assert rows == texts(seeds) + texts(step)
    assert united_prompts.rows_from({"prompts": {"prompts": 2}, "evolved": {"prompts": 1}}) == 3


def test_the_prompts_of_kept_pairs_are_selected(tmp_path: Path, seeds: Artifact) -> None:
    given = kept(tmp_path, seeds, [False, True])
    assert texts(made(tmp_path / "best", f"{ROOM}.selected_prompts.selected_prompts", given)) == texts(seeds)[1:]
    assert selected_prompts.rows_from({"selection": {"kept": 1}}) == 1


def test_when_every_rewrite_is_refused_the_reasons_are_said(
    tmp_path: Path, seeds: Artifact, instructed: Artifact
) -> None:
    message = (
        r"^rewrites: none of 4 rows .*\(introduction 3, empty 1\); see .*refused\.jsonl; use another evolve= or model=$"
    )
    with pytest.raises(ValueError, match=message):
        evolved(tmp_path / "evolved", seeds, instructed, ["Sure, here it is: x"] * 3 + [""])


def test_a_strategy_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^evolve\.strategies=\[breadth,breadth\]: lists one twice"):
        rewrites.check(strategies=["breadth", "breadth"])


def reasons(step: Artifact) -> dict[str, int]:
    lines = (step.path / "refused.jsonl").read_text().splitlines()
    return dict(Counter(json.loads(line)["reason"] for line in lines))
