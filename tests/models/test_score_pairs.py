from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.types import TokenizedPair
from apm_exp.models import score_pairs as scoring
from apm_exp.models.load import load_model
from apm_exp.models.pair_forward import pair_forward, responses_forward
from apm_exp.models.score_pairs import form_batches, score_pairs, token_budget
from apm_exp.runtime.settings import Runtime


@pytest.fixture(scope="module")
def model(tiny_policy):
    return load_model(tiny_policy, "cpu")


@pytest.fixture
def names(tiny_pairs):
    return [f"p{index:02d}" for index in range(len(tiny_pairs))]


def test_every_pair_once_longest_first_whatever_the_budget(model, tiny_pairs, names):
    whole = pair_forward(model, tiny_pairs)
    for budget in (50, 120, 10_000):
        scored = list(score_pairs(model, tiny_pairs, names, budget))
        order = [index for index, _, _ in scored]
        lengths = [tiny_pairs[index].length for index in order]
        assert sorted(order) == list(range(len(tiny_pairs)))
        assert lengths == sorted(lengths, reverse=True)
        for index, chosen, rejected in scored:
            assert abs(chosen - whole.chosen_logp_B[index].item()) < 1e-5
            assert abs(rejected - whole.rejected_logp_B[index].item()) < 1e-5


def test_no_batch_exceeds_the_budget(model, tiny_pairs, names, monkeypatch):
    sizes = []

    def measured(model, prompts):
        sizes.append(sum(len(prompt) + sum(map(len, responses)) for prompt, responses in prompts))
        return responses_forward(model, prompts)

    monkeypatch.setattr(scoring, "responses_forward", measured)
    list(score_pairs(model, tiny_pairs, names, 100))
    assert max(sizes) <= 100
    assert len(sizes) > 1


def test_the_budget_is_halved_when_memory_runs_out(model, tiny_pairs, names, monkeypatch, caplog):
    expected = sorted(score_pairs(model, tiny_pairs, names, 1000))

    def small(model, pairs):
        if len(pairs) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return responses_forward(model, pairs)

    monkeypatch.setattr(scoring, "responses_forward", small)
    found = sorted(score_pairs(model, tiny_pairs, names, 1000))
    assert [index for index, *_ in found] == [index for index, *_ in expected]
    torch.testing.assert_close([logps for _, *logps in found], [logps for _, *logps in expected], atol=1e-5, rtol=0)
    assert "runtime.tokens_per_batch is now 500 instead of 1000" in caplog.text


def test_one_pair_that_does_not_fit_memory_is_an_error(model, tiny_pairs, names, monkeypatch):
    def full(model, pairs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(scoring, "responses_forward", full)
    longest = max(tiny_pairs, key=lambda pair: pair.length)
    name = names[tiny_pairs.index(longest)]
    with pytest.raises(ValueError, match=rf"out of memory for the pair {name} alone \({longest.length} tokens; about"):
        list(score_pairs(model, tiny_pairs, names, 1000))


def test_the_memory_estimate_is_weights_and_the_widest_layer():
    # 2^26 float32 weights are 1/4 GiB; a token takes 3 x 8 + 6 x 4 = 48 numbers, so 2^24 of them 3 GiB
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(intermediate_size=8))
    embeddings = torch.nn.Embedding(2, 4)
    model = SimpleNamespace(
        config=config,
        parameters=lambda: [torch.empty(2**26, device="meta")],
        get_input_embeddings=lambda: embeddings,
    )
    assert scoring._memory(model, 2**24) == "about 0.25 GiB of weights and 3.00 GiB for the widest layer"


def test_a_budget_below_the_longest_pair_is_an_error(model, tiny_pairs, names):
    with pytest.raises(ValueError, match=r"^runtime.tokens_per_batch=40: the pair p1 alone takes 42 tokens.* 42$"):
        form_batches([40, 42], ["p0", "p1"], 40)


def test_batches_are_filled_longest_first_and_equal_lengths_go_by_name():
    assert form_batches([3, 9, 3, 5], ["d", "a", "c", "b"], 9) == [[1], [3, 2], [0]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(50, 200), st.integers(1, 5))
def test_batches_hold_every_pair_once_within_the_budget_and_divide_by_the_ranks(lengths, budget, ranks):
    batches = form_batches(lengths, [f"{index:02d}" for index in range(len(lengths))], budget, ranks)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert max(sum(lengths[index] for index in batch) for batch in batches) <= budget
    assert len(batches) % ranks == 0 or max(map(len, batches)) == 1


def test_log_probs_that_are_not_finite_name_the_pairs(tiny_policy, names):
    model = load_model(tiny_policy, "cpu")
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = torch.nan
    pairs = [TokenizedPair([1, 5], [6], [8]), TokenizedPair([1, 7], [6], [8]), TokenizedPair([1, 5], [7, 6], [8, 7])]
    with pytest.raises(ValueError, match=r"not finite for the pairs p02, p01$"):
        list(score_pairs(model, pairs, names, 1000))


@pytest.mark.parametrize(
    ("device", "given", "expected"),
    [("cpu", None, 4096), ("cuda", None, 16384), ("cpu", 300, 300), ("mps", None, 16384)],
)
def test_a_budget_that_is_not_given_suits_the_device(device, given, expected):
    assert token_budget(Runtime(device, 1, 8, given), [500, 70]) == expected


def test_a_budget_that_is_not_given_takes_the_longest_pair():
    assert token_budget(Runtime("cpu", 1, 8, None), [500, 5000]) == 5000
