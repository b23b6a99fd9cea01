"""A real policy answers real questions."""

import json
from pathlib import Path

import pytest
import torch

from apm_exp.core.types import Policy
from apm_exp.data.generate.samples import Response
from apm_exp.data.generate.transformers_sampler import sample_responses
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.pair_forward import responses_forward
from tests.micro_world_policy import RUNTIME

pytestmark = pytest.mark.slow
PAIRS = Path(__file__).parent / "pairs.jsonl"
TOKENS = 96


@pytest.fixture(scope="module")
def responses(smollm2: Policy) -> list[Response]:
    """The responses to the first 8 prompts of PAIRS."""
    asked = [json.loads(line)["prompt"] for line in PAIRS.read_text().splitlines()[:8]]
    prompts = [[{"role": "user", "content": text}] for text in asked]
    wanted = {index: [0] for index in range(len(prompts))}
    settings = {"samples": 1, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": TOKENS, "batch_size": 8, "seed": 0}
    each = {index: one for index, _, one in sample_responses(smollm2, prompts, RUNTIME, wanted, **settings)}
    kept = [each[index] for index in range(len(prompts))]
    assert all(isinstance(one, Response) for one in kept)
    return kept


def test_they_end_by_themselves_in_plain_text(smollm2: Policy, responses: list[Response]) -> None:
    """With the end token, which is the pad token too, once; one that does not end in time is said to be unfinished."""
    end = load_tokenizer(smollm2).eos_token_id
    assert sum(one.finished for one in responses) >= 5
    for one in responses:
        assert one.text.strip()
        assert "<|" not in one.text
        assert list(one.ids).count(end) == one.finished
        assert one.finished == (one.ids[-1] == end)
        assert one.finished or one.length == TOKENS


def test_the_first_one_knows_the_capital_of_france(responses: list[Response]) -> None:
    assert "Paris" in responses[0].text


def test_their_log_probs_are_those_of_the_pair_forward(smollm2: Policy, responses: list[Response]) -> None:
    """Padded prompts and a cache there, one row and no padding here."""
    model = load_model(smollm2, "cpu")
    with torch.inference_mode():
        again_N, length_N = responses_forward(model, [(list(one.prompt_ids), [list(one.ids)]) for one in responses])
    assert length_N.tolist() == [one.length for one in responses]
    for one, again in zip(responses, again_N.tolist(), strict=True):
        assert one.logp == pytest.approx(again, abs=1e-4 * one.length)
