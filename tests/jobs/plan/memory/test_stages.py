"""The memory of scoring, sampling and rewarding, by hand."""

from apm_exp.data.generate import shared_rows
from apm_exp.jobs.plan.memory import stages
from apm_exp.jobs.plan.memory.stages import reward_bytes, sampling_bytes, scoring_bytes
from apm_exp.models.shape import llama

SHAPE = llama(hidden=4, layers=2, heads=2, intermediate=8, vocabulary=10, tied=True, key_heads=1)
WEIGHTS = 2 * SHAPE.parameters


def test_scoring_holds_weights_a_layer_and_a_block_of_logits() -> None:
    assert scoring_bytes(SHAPE, 2, 100, gpu=True) == WEIGHTS + 100 * 2 * (3 * 8 + 6 * 4) + 4 * 100 * 10


def test_sampling_holds_each_prompt_once_and_the_tokens_of_every_row() -> None:
    a_token = 2 * 2 * 2 * 2  # keys and values, layers, one key head of two, bytes
    cache = (2 * 20 + 5 * (8 + 2)) * a_token  # 5 rows are of two prompts; room for a quarter more
    drawing = (3 * 4 + 2 * 8) * 5 * 10
    prompts = 2 * 20 * 2 * (3 * 8 + 6 * 4)
    assert drawing < prompts
    assert sampling_bytes(SHAPE, 2, rows=5, samples=3, prompt=20, new=8) == WEIGHTS + cache + cache // 2 + prompts
    assert stages.PROMPT_TOKENS == shared_rows.PROMPT_TOKENS


def test_a_reward_model_holds_weights_and_a_layer_of_its_batch() -> None:
    assert reward_bytes(SHAPE, 2, rows=16, tokens=20) == WEIGHTS + 16 * 20 * 2 * (3 * 8 + 6 * 4)
