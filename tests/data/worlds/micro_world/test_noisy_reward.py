import random
from statistics import fmean, stdev

import pyarrow as pa
import pytest

from apm_exp.data.worlds.micro_world.noisy_reward import noisy_true_reward, standard_normal
from apm_exp.data.worlds.micro_world.true_reward import true_reward

ROWS = [
    ("copy : a b c", ["a b c", "a b", "a b c", "answer : a b c ."]),
    ("reverse : a b c", ["c b a", "a b c"]),
    ("count a : a a b", ["2", "3 ."]),
]


def rewards(rows, noise=0.75, spread=0.2, seed=0):
    table = pa.table(
        {
            "prompt": [[{"role": "user", "content": prompt}] for prompt, _ in rows],
            "responses": [responses for _, responses in rows],
            "recorded_rewards": pa.nulls(len(rows), pa.list_(pa.float64())),
        }
    )
    return noisy_true_reward(table, noise=noise, spread=spread, seed=seed)


def test_without_noise_it_is_the_true_reward():
    expected = [[true_reward(prompt, text) for text in responses] for prompt, responses in ROWS]
    assert rewards(ROWS, noise=0.0) == expected


def test_noise_is_drawn_once_for_a_prompt_and_response_whatever_the_order():
    whole = {
        prompt: dict(zip(texts, row, strict=True)) for (prompt, texts), row in zip(ROWS, rewards(ROWS), strict=True)
    }
    shuffled = [(prompt, random.Random(0).sample(texts, len(texts))) for prompt, texts in reversed(ROWS)]
    for (prompt, texts), row in zip(shuffled, rewards(shuffled), strict=True):
        assert row == [whole[prompt][text] for text in texts]
    assert rewards(ROWS[1:2]) == [rewards(ROWS)[1]]
    first = rewards(ROWS)[0]
    assert first[0] == first[2]


def test_noise_has_the_size_that_was_asked_for():
    exact, single, double = (rewards(ROWS, noise=noise, spread=0.2)[0][1] for noise in (0.0, 1.0, 2.0))
    assert double - exact == pytest.approx(2 * (single - exact))
    assert single - exact == pytest.approx(0.2 * standard_normal(0, "copy : a b c", "a b"))


def test_noise_is_standard_normal_and_depends_on_all_of_its_arguments():
    draws = [standard_normal(0, "p", str(number)) for number in range(10_000)]
    assert fmean(draws) == pytest.approx(0, abs=0.04)
    assert stdev(draws) == pytest.approx(1, abs=0.03)
    assert sum(abs(draw) < 1.96 for draw in draws) / 10_000 == pytest.approx(0.95, abs=0.01)
    assert len({standard_normal(*of) for of in ((0, "p", "r"), (1, "p", "r"), (0, "q", "r"), (0, "p", "s"))}) == 4


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ([{"role": "user", "content": "Say hello"}], "'Say hello' is not a task of the micro world"),
        ([{"role": "user", "content": "copy : a b c"}] * 2, "a prompt of 2 turns is not a task of the micro world"),
    ],
)
def test_other_prompts_have_no_reward(prompt, problem):
    table = pa.table(
        {"prompt": [prompt], "responses": [["a"]], "recorded_rewards": pa.nulls(1, pa.list_(pa.float64()))}
    )
    with pytest.raises(ValueError, match=f"^reward=micro_world: {problem}; use another reward source"):
        noisy_true_reward(table, noise=0.0, spread=1.0, seed=0)
