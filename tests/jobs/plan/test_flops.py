"""The operations of a plan's steps against numbers worked out by hand (docs/performance.md shows the same)."""

import pytest

from apm_exp.models.pretrained import config_here
from apm_exp.models.shape import Shape, llama, shape_of_folder
from apm_exp.pipeline.flops import forward_flops, reward_flops, reward_shape, training_flops

SHAPE = llama(hidden=4, layers=2, heads=2, intermediate=8, vocabulary=10, tied=False)
ACTIVE = 2 * (4 * 4 * 4 + 3 * 4 * 8) + 10 * 4 + 5 * 4  # two layers, the head, five norms; the embedding is looked up
PAIR = (200, 400, 400)


def shape_of(name: str) -> Shape:
    folder = config_here(path=name, revision=None)
    assert folder is not None
    return shape_of_folder(folder, False)


@pytest.fixture(scope="module")
def gemma() -> Shape:
    return shape_of("google/gemma-2-9b-it")


@pytest.fixture(scope="module")
def llama3() -> Shape:
    return shape_of("meta-llama/Meta-Llama-3-8B-Instruct")


def test_a_forward_by_hand() -> None:
    assert SHAPE.active == ACTIVE
    seen = 3 * 3 / 2 + (2 * 3 + 2 * 2 / 2) + (1 * 3 + 1 * 1 / 2)  # earlier tokens that those of each part see
    assert forward_flops(SHAPE, 3, 2, 1) == 2 * ACTIVE * 6 + 4 * 4 * 2 * seen


def test_follow_ups_by_hand() -> None:
    """Two follow-ups of 4 and 3 tokens (1.3 a word) after 5 tokens; the head computes the logits of these 7 alone."""
    ups = {"relevance": {"positive": ["That is right."], "negative": ["Not so."]}}
    node = {"_target_": "apm_exp.data.rewards.flr.flr", "dimensions": None, "follow_ups": ups, "compat": False}
    seen = 5 * 5 / 2 + (4 * 5 + 4 * 4 / 2) + (3 * 5 + 3 * 3 / 2)
    expected = 2 * (ACTIVE * 12 - 10 * 4 * 5) + 4 * 4 * 2 * seen
    assert reward_flops(node, SHAPE, 3, 2, 1) == expected


@pytest.mark.parametrize(
    ("checkpointing", "frozen", "products", "attention"),
    [(False, False, 3, 3), (True, False, 4, 4), (False, True, 2, 3), (True, True, 3, 4)],
)
def test_a_backward_by_hand(checkpointing: bool, frozen: bool, products: int, attention: int) -> None:
    seen = 3 * 3 / 2 + (2 * 3 + 2 * 2 / 2) + (1 * 3 + 1 * 1 / 2)
    expected = products * 2 * ACTIVE * 6 + attention * 4 * 4 * 2 * seen
    assert training_flops(SHAPE, (3, 2, 1), checkpointing=checkpointing, frozen=frozen) == expected


def test_the_shapes_of_the_presets_are_those_of_the_models(gemma: Shape, llama3: Shape) -> None:
    assert (gemma.parameters, gemma.active) == (9_241_705_984, 9_241_705_984)  # tied: the table is the head
    assert (llama3.parameters, llama3.active) == (8_030_261_248, 8_030_261_248 - 128_256 * 4096)
    for size, parameters in (("135M", 134_515_008), ("360M", 361_821_120)):
        assert shape_of(f"HuggingFaceTB/SmolLM2-{size}-Instruct").parameters == parameters


def test_gemmas_simpo_by_hand(gemma: Shape) -> None:
    """23,840 pairs of 1,000 tokens, all weights, with checkpointing: 4 x (2 x 9.24e9 x 1,000 + attention)."""
    attention = 4 * 4096 * 42 * (200**2 / 2 + 2 * (400 * 200 + 400**2 / 2))
    pairs = 23_840 * training_flops(gemma, PAIR, checkpointing=True, frozen=False)
    assert pairs == pytest.approx(23_840 * 4 * (2 * 9.2417e9 * 1000 + attention), rel=1e-4)
    assert pairs == pytest.approx(1.785e18, rel=0.001)


def test_llamas_dpo_with_lora_by_hand(llama3: Shape) -> None:
    """23,960 pairs of 1,000 tokens, frozen weights, no checkpointing: 2 x 2 x 7.50e9 x 1,000, and 3 x attention."""
    attention = 4 * 4096 * 32 * (200**2 / 2 + 2 * (400 * 200 + 400**2 / 2))
    pairs = 23_960 * training_flops(llama3, PAIR, checkpointing=False, frozen=True)
    assert pairs == pytest.approx(23_960 * (2 * 2 * 7.5049e9 * 1000 + 3 * attention), rel=1e-4)
    assert pairs == pytest.approx(7.323e17, rel=0.001)


def test_scoring_60_000_pairs_by_hand(gemma: Shape) -> None:
    pairs = 60_000 * forward_flops(gemma, *PAIR)
    assert pairs == pytest.approx(60_000 * 2 * 9.2417e9 * 1000, rel=0.02)  # attention is 1.3% of it
    assert pairs == pytest.approx(1.123e18, rel=0.001)


LLAMA_REWARDS = {"_target_": "apm_exp.data.rewards.armorm.armorm", "path": "RLHFlow/ArmoRM-Llama3-8B-v0.1"}
PAIR_REWARDS = {"_target_": "apm_exp.data.rewards.pairrm.pairrm", "path": "llm-blender/PairRM-hf"}


def test_a_reward_model_computes_a_prompt_once_for_its_responses(llama3: Shape) -> None:
    shape = reward_shape(LLAMA_REWARDS | {"revision": None})
    assert shape is not None
    body = llama3.parameters - 2 * 128_256 * 4096  # neither table
    assert (shape.parameters, shape.active) == (body + 128_257 * 4096, body)
    attention = 4 * 4096 * 32 * (200**2 / 2 + 5 * (400 * 200 + 400**2 / 2))
    assert reward_flops(LLAMA_REWARDS, shape, 200, 400, 5.0) == pytest.approx(2 * body * 2200 + attention)


def test_pairrm_compares_every_pair_of_responses_in_both_orders() -> None:
    shape = reward_shape(PAIR_REWARDS | {"revision": None})
    assert shape is not None
    assert shape.active == pytest.approx(24 * (4 * 1024**2 + 2 * 1024 * 4096), rel=0.01)
    assert reward_flops(PAIR_REWARDS, shape, 200, 400, 3.0) == pytest.approx(6 * forward_flops(shape, 1000))


def test_an_implicit_reward_is_two_forwards_with_the_output_head(llama3: Shape) -> None:
    path = "meta-llama/Meta-Llama-3-8B-Instruct"
    node = {"_target_": "apm_exp.data.rewards.implicit.implicit", "path": path, "revision": None}
    assert reward_shape(node) == llama3
    assert reward_flops(node, llama3, 200, 400, 3.0) == 2 * forward_flops(llama3, 200, 400, 400, 400)
