from collections import Counter

import pytest

from apm_exp.data.worlds.micro_world import splits as tasks_splits
from apm_exp.data.worlds.micro_world.instructions import FAMILIES
from apm_exp.data.worlds.micro_world.splits import draw_tasks, purpose_of

PURPOSES = ("demonstrations", "preferences", "evaluation")


def prompts(purpose: str, count: int, seed: int) -> list[str]:
    return [task.prompt for task in draw_tasks(purpose, count, seed)]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_same_seed_gives_the_same_tasks(purpose: str) -> None:
    assert prompts(purpose, 50, 7) == prompts(purpose, 50, 7) != prompts(purpose, 50, 8)
    assert prompts(purpose, 20, 7) == prompts(purpose, 50, 7)[:20]


def test_the_purposes_share_no_prompt_whatever_the_seeds() -> None:
    found = [set(prompts(purpose, 2000, seed)) for seed, purpose in enumerate(PURPOSES)]
    assert not found[0] & found[1]
    assert not found[0] & found[2]
    assert not found[1] & found[2]
    assert all(
        purpose_of(prompt) == purpose for purpose, those in zip(PURPOSES, found, strict=True) for prompt in those
    )


@pytest.mark.parametrize("purpose", PURPOSES[1:])
def test_no_prompt_comes_twice(purpose: str) -> None:
    assert len(set(prompts(purpose, 2000, 0))) == 2000


def test_every_family_has_its_share() -> None:
    counts = Counter(task.family for task in draw_tasks("preferences", 2000, 0))
    assert set(counts) == set(FAMILIES)
    assert min(counts.values()) > 200  # 250 expected, standard deviation 15


def test_a_world_without_further_prompts_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    task = next(draw_tasks("evaluation", 1, 0))
    monkeypatch.setattr(tasks_splits, "draw_task", lambda family, stream: task)
    with pytest.raises(ValueError, match=r"no further prompt of family \w+ for evaluation; ask for fewer"):
        prompts("evaluation", 2, 0)
