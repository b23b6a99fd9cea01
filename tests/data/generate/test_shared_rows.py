"""Sampling with one copy of each prompt's keys and values: the model's own log-probs, whatever is in the batch."""

import logging
from functools import partial

import pytest
import torch
from transformers import GenerationConfig

from apm_exp.data.generate.cached_rows import CachedRows
from apm_exp.data.generate.choose_rows import choose_rows
from apm_exp.data.generate.decode import decode
from apm_exp.data.generate.draw import draw, uniform_numbers
from apm_exp.data.generate.places import Places
from apm_exp.data.generate.shared_rows import SharedRows
from tests.architectures import tiny
from tests.forward_models import VOCABULARY, gemma2, gemma3, gpt2, llama, made, mistral, plain

LENGTHS = [20, 9, 9, 5, 3, 1]
PROMPTS = [[(3 + 7 * row + 11 * at) % VOCABULARY for at in range(length)] for row, length in enumerate(LENGTHS)]
GROUPS = [(ids, [(row, number) for number in range(3)]) for row, ids in enumerate(PROMPTS)]
TOKENS = 70  # more than the room for tokens grows by
ENDS = [2]


@pytest.fixture(scope="module", params=(llama, mistral, gemma2, gemma3, gpt2), ids=lambda family: family.__name__)
def model(request):
    """With log-probs that differ."""
    causal_lm = made(request.param)
    with torch.no_grad():
        for weight in causal_lm.parameters():
            if weight.ndim > 1:
                weight.mul_(5)
    causal_lm.generation_config = GenerationConfig(eos_token_id=ENDS, pad_token_id=0)
    return causal_lm


def sampled(causal_lm, batch_size):
    """The tokens and log-prob of each response."""

    def numbers(place):
        return uniform_numbers(0, place[0], place[1], TOKENS)

    ended = decode(causal_lm, GROUPS, numbers, partial(draw, temperature=1.0, top_p=0.95), batch_size)
    return {place: (ids, logp) for place, ids, logp in ended}


def test_responses_are_the_models_own_and_the_same_in_batches_of_any_size(model):
    with choose_rows(model) as rows:
        assert isinstance(rows, SharedRows)
    together = sampled(model, 99)
    lengths = [len(ids) for ids, _ in together.values()]
    assert len(together) == 18
    assert min(lengths) < 10 < 64 < max(lengths)
    for (row, _), (ids, logp) in together.items():
        assert logp == pytest.approx(plain(model, PROMPTS[row], ids).item(), abs=1e-3)
    for batch_size in (4, 7):  # a prompt's, two prompts' of which one is replaced
        again = sampled(model, batch_size)
        assert {place: ids for place, (ids, _) in again.items()} == {place: ids for place, (ids, _) in together.items()}


def test_a_row_that_has_ended_at_the_models_last_position_may_stay():
    """GPT-2 has no embedding for a position after it; one row of nine ends and eight go on, and so it stays."""
    causal_lm, lengths = tiny("gpt2"), [28, *[60] * 8]
    causal_lm.generation_config = GenerationConfig(eos_token_id=[VOCABULARY + 40], pad_token_id=0)
    groups = [([5] * 100, [0]), ([6] * 60, range(1, 9))]
    chosen = partial(draw, temperature=1.0, top_p=1.0)
    ended = decode(causal_lm, groups, lambda n: uniform_numbers(0, 0, n, lengths[n]), chosen, 9)
    assert {n: len(ids) for n, ids, _ in ended} == dict(enumerate(lengths))


def test_the_model_has_its_own_attention_again(model):
    before = model.config._attn_implementation
    next(
        iter(decode(model, GROUPS, lambda _: uniform_numbers(0, 0, 0, 3), partial(draw, temperature=1.0, top_p=1.0), 9))
    )
    assert model.config._attn_implementation == before


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("mamba2", "mix all tokens of a row"), ("gpt_oss", "its attention takes s_aux"), ("diffllama", "other log-probs")],
)
def test_models_that_cannot_share_keys_use_their_own_cache_and_say_why(kind, problem, caplog):
    with caplog.at_level(logging.INFO), choose_rows(tiny(kind)) as rows:
        assert isinstance(rows, CachedRows)
    assert problem in caplog.text


def test_an_attention_of_transformers_is_kept():
    causal_lm = tiny("llama")
    causal_lm.pair_attention = "eager"
    with choose_rows(causal_lm) as rows:
        assert isinstance(rows, CachedRows)


def test_places_by_hand():
    """Two responses to a prompt of 3 tokens, and one to a prompt of 1 that began a token later."""
    places = Places([3, 1], [0, 1, 0], [0, 1, 0], torch.device("cpu"), column=2)
    assert places.position_R().tolist() == [5, 2, 5]
    rows = torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]
    prompts = places.by_prompt(rows)
    assert prompts[:, 0, :, 0].tolist() == [[1, 3], [2, 0]]
    assert torch.equal(places.by_row(prompts), rows)
    hidden = places.hidden(None)[:, 0, :, 0].int().tolist()
    assert hidden == [[[0] * 6] * 2, [[0, 1, 1, 1, 0, 0], [0] * 6]]
    window = places.hidden(4)[:, 0, :, 0].int().tolist()  # positions 5 and 2 see three tokens before
    assert window == [[[1, 1, 0, 0, 0, 0]] * 2, [[0, 1, 1, 1, 0, 0], [0] * 6]]
