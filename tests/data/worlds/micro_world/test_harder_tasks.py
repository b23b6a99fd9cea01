"""The micro world's own tasks made harder by a rule."""

from pathlib import Path

import pytest

from apm_exp.data.worlds.micro_world.instructions import parse_task
from apm_exp.data.worlds.micro_world.splits import draw_tasks, purpose_of
from tests.data.evolve.steps import conversation, data_set, made, texts

TARGET = "apm_exp.data.worlds.micro_world.harder_tasks.harder_tasks"
SETTINGS = {"strategies": ["breadth", "deepening"], "seed": 0}


def test_breadth_is_another_family_and_deepening_more_letters(tmp_path: Path) -> None:
    seeds = data_set(tmp_path / "seeds", [task.prompt for task in draw_tasks("preferences", 200, 0)])
    step = made(tmp_path / "evolved", TARGET, {"prompts": seeds}, seeds, **SETTINGS)
    parent = {row["prompt_id"]: parse_task(conversation(row)[0]) for row in texts(seeds)}
    assert step.counts["prompts"] > 350
    for row in texts(step):
        text = conversation(row)[0]
        task, before = parse_task(text), parent[row["parent_id"]]
        assert purpose_of(text) == "preferences"
        if row["strategy"] == "breadth":
            assert task.family != before.family
            assert task.letters == before.letters
        else:
            assert (task.family, task.arguments) == (before.family, before.arguments)
            assert task.letters[: len(before.letters)] == before.letters
            assert 1 <= len(task.letters) - len(before.letters) <= 3
    assert texts(made(tmp_path / "again", TARGET, {"prompts": seeds}, seeds, **SETTINGS)) == texts(step)


def test_prompts_of_another_world_are_an_error(tmp_path: Path) -> None:
    seeds = data_set(tmp_path / "seeds", ["Explain how tides work."])
    with pytest.raises(
        ValueError, match=r"^evolve=procedural: .*is not a task of the micro world; use evolve=rewrite$"
    ):
        made(tmp_path / "evolved", TARGET, {"prompts": seeds}, **SETTINGS)
