import copy
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from apm_exp.models.supervised import Demonstration, fine_tune, halves

SETTINGS = {"batch": 6, "learning_rate": 1e-2, "beta2": 0.98, "weight_decay": 0.01, "warmup": 0.25}


def demonstration(length: int, stream: random.Random) -> Demonstration:
    return Demonstration([stream.randrange(1, 20) for _ in range(length)], stream.randint(1, length - 1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).double()


@pytest.fixture
def demonstrations():
    stream = random.Random(0)
    return [demonstration(stream.randint(3, 12), stream) for _ in range(20)]


def one_by_one(model, demonstrations):
    """The same training in the plainest way: no padding, no halves; returns the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    factors = [1.0, 1.0, (1 + math.cos(math.pi / 3)) / 2, (1 + math.cos(2 * math.pi / 3)) / 2]  # 1 step of warm-up
    losses = []
    for factor, start in zip(factors, range(0, 20, 6), strict=True):
        members = demonstrations[start : start + 6]
        answers = [model(input_ids=torch.tensor([m.ids])).logits[0].log_softmax(-1) for m in members]
        logps = [
            logp[at - 1, member.ids[at]]
            for member, logp in zip(members, answers, strict=True)
            for at in range(member.answer_start, len(member.ids))
        ]
        loss = -torch.stack(logps).mean()
        optimizer.param_groups[0]["lr"] = 1e-2 * factor
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_it_trains_like_the_plainest_loop(model, demonstrations):
    plain = copy.deepcopy(model)
    losses = one_by_one(plain, demonstrations)
    loss = fine_tune(model, demonstrations, **SETTINGS)
    assert loss == pytest.approx(losses[-1], rel=1e-8)
    for trained, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(trained, expected, rtol=1e-6, atol=1e-8)


def test_the_number_of_threads_is_left_as_it_was(model, demonstrations):
    before = torch.get_num_threads()
    fine_tune(model, demonstrations[:6], **SETTINGS)
    assert torch.get_num_threads() == before


def test_a_loss_that_is_not_finite_stops_it(model, demonstrations):
    with pytest.raises(ValueError, match=r"model.learning_rate=1e\+300: not finite after [23] optimizer steps"):
        fine_tune(model, demonstrations, **SETTINGS | {"learning_rate": 1e300})


@given(st.lists(st.integers(3, 40), min_size=1, max_size=70))
def test_halves_are_all_of_the_batch_and_less_padding(lengths):
    stream = random.Random(0)
    members = [demonstration(length, stream) for length in lengths]
    short, long = halves(members)
    assert sorted(len(member.ids) for member in short + long) == sorted(lengths)
    padded = [len(half) * max((len(member.ids) for member in half), default=0) for half in (short, long)]
    assert sum(padded) <= len(lengths) * max(lengths)
    if len(lengths) > 1:
        assert max(padded) < len(lengths) * max(lengths)
