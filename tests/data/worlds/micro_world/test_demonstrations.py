import random
from collections.abc import Iterable

import pytest

from apm_exp.data.worlds.micro_world.demonstrations import demonstration
from apm_exp.data.worlds.micro_world.instructions import CHATTER, VOCABULARY, Task

COPY, COUNT = Task("copy", (), ("a", "b", "c", "d")), Task("count", ("a",), ("a", "b", "a"))


def drawn(task: Task, count: int, seed: int = 0) -> list[str]:
    stream = random.Random(seed)
    return [demonstration(task, stream) for _ in range(count)]


def test_the_same_seed_gives_the_same_demonstrations() -> None:
    assert drawn(COPY, 20) == drawn(COPY, 20) != drawn(COPY, 20, seed=1)


def test_style_and_mistakes_come_as_often_as_they_should() -> None:
    texts = [text.split() for text in drawn(COPY, 4000)]
    spoken = [[word for word in words if word not in CHATTER] for words in texts]
    assert share(words[0] in CHATTER for words in texts) == pytest.approx(0.25, abs=0.03)
    assert share(words[:2] == ["answer", ":"] for words in spoken) == pytest.approx(0.5, abs=0.03)
    assert share(words[-1] == "." for words in spoken) == pytest.approx(0.5, abs=0.03)
    bare = [[word for word in words if word not in ("answer", ":", ".")] for words in spoken]
    wrong = share(words != ["a", "b", "c", "d"] for words in bare)
    assert wrong == pytest.approx(0.38, abs=0.03)  # 0.4, less the exchanges that change nothing
    assert {len(words) for words in bare} == {1, 2, 3, 4, 5, 6, 7}
    assert {word for words in texts for word in words} <= set(VOCABULARY)


def test_a_number_stays_a_number() -> None:
    bare = {word for text in drawn(COUNT, 500) for word in text.split() if word not in ("answer", ":", ".", *CHATTER)}
    assert bare == set("1234567")


def test_something_is_always_answered() -> None:
    idle = {"answer", ":", ".", *CHATTER}
    assert all(set(text.split()) - idle for text in drawn(COUNT, 500))


def share(hits: Iterable[bool]) -> float:
    counted = list(hits)
    return sum(counted) / len(counted)
