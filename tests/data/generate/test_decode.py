"""Our decoding against transformers' own `generate`."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from transformers import GenerationConfig

from apm_exp.data.generate.decode import decode
from apm_exp.data.generate.draw import draw, uniform_numbers
from tests.architectures import tiny
from tests.forward_models import plain

PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22], [23]]
OF_PROMPT = [0, 0, 0, 1, 1, 2, 2, 2, 2]
ENDS = [2, *range(3, 97, 4)]  # so many that random responses end
SETTINGS = {"eos_token_id": ENDS, "pad_token_id": 0, "bos_token_id": 1}


def likeliest(logits_NV, uniform_N):
    return logits_NV.argmax(dim=-1)


def ours(model, prompts, of_prompt, choose, tokens, numbers_TN=None, batch_size=99):
    """Tokens and log-prob of each response."""
    model.generation_config = GenerationConfig(**SETTINGS, max_new_tokens=tokens)
    uniform_TN = np.zeros((tokens, len(of_prompt))) if numbers_TN is None else numbers_TN
    groups = [(ids, [n for n, of in enumerate(of_prompt) if of == index]) for index, ids in enumerate(prompts)]
    ended = decode(model, groups, lambda place: uniform_TN[:, place], choose, batch_size)
    by_place = {place: each for place, *each in ended}
    return [by_place[place] for place in range(len(of_prompt))]


def theirs(model, ids, **settings):
    """The tokens of each response to one prompt, up to its first end token."""
    model.generation_config = GenerationConfig(**SETTINGS, **settings)
    rows = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    return [up_to_end(row) for row in rows[:, len(ids) :].tolist()]


def up_to_end(row):
    return row[: next((at for at, token in enumerate(row) if token in ENDS), len(row)) + 1]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "gemma3_text", "jamba", "mamba2", "gpt_oss"])
def test_the_likeliest_responses_are_those_of_generate_on_each_prompt_alone(kind):
    """Caches of all tokens, of a window's, of states beside attention, of states alone."""
    model = tiny(kind)
    alone = [theirs(model, ids, max_new_tokens=12, do_sample=False)[0] for ids in PROMPTS]
    assert len({len(ids) for ids in alone}) > 1  # rows leave the batch one after another
    found = ours(model, PROMPTS, OF_PROMPT, likeliest, 12)
    assert [ids for ids, _ in found] == [alone[prompt] for prompt in OF_PROMPT]
    for prompt, (ids, logp) in zip(OF_PROMPT, found, strict=True):
        assert logp == pytest.approx(plain(model, PROMPTS[prompt], ids).item(), abs=1e-3)


@pytest.mark.parametrize("kind", ["rwkv", "recurrent_gemma"])
def test_a_model_that_keeps_states_of_its_own_computes_each_row_as_generate_does(kind):
    """RWKV has no cache of transformers' kind, RecurrentGemma one for its attention alone; neither masks padding."""
    model = tiny(kind)
    how = {"max_new_tokens": 12, "do_sample": True, "temperature": 1e-6, "num_return_sequences": 3}
    peers = theirs(model, PROMPTS[0], **how)
    assert [ids for ids, _ in ours(model, PROMPTS[:1], [0] * 3, likeliest, 12)] == peers


def frequencies(responses, place):
    return Counter(ids[place] for ids in responses if len(ids) > place)


@pytest.mark.parametrize("how", [{"temperature": 0.8, "top_p": 0.95}, {"temperature": 1.0, "top_p": 1.0}])
def test_tokens_are_as_frequent_as_those_of_generate(how):
    model, number = tiny("llama"), 4000
    torch.manual_seed(0)
    more = {"do_sample": True, "top_k": 0, "num_return_sequences": number}
    peers = theirs(model, PROMPTS[1], max_new_tokens=2, **more, **how)
    numbers_TN = np.stack([uniform_numbers(0, PROMPTS[1], each, 2) for each in range(number)], axis=1)
    own = [ids for ids, _ in ours(model, [PROMPTS[1]], [0] * number, partial(draw, **how), 2, numbers_TN)]
    for place in range(2):
        both = [frequencies(responses, place) for responses in (own, peers)]
        common = [token for token in both[0] | both[1] if both[0][token] + both[1][token] >= 20]
        assert len(common) > 5
        assert chi2_contingency([[each[token] for token in common] for each in both]).pvalue > 0.01
