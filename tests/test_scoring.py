import pytest
import torch

from apm_exp import scoring
from apm_exp.models.load import load_model
from apm_exp.pair_forward import pair_forward
from apm_exp.scoring import check_plain, out_of_memory, padded_tokens, score_pairs
from apm_exp.types import TokenisedPair


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
        lengths = [padded_tokens(tiny_pairs[index]) for index in order]
        assert sorted(order) == list(range(len(tiny_pairs)))
        assert lengths == sorted(lengths, reverse=True)
        for index, chosen, rejected in scored:
            assert abs(chosen - whole.chosen_logp_B[index].item()) < 1e-5
            assert abs(rejected - whole.rejected_logp_B[index].item()) < 1e-5


def test_no_batch_exceeds_the_budget(model, tiny_pairs, names, monkeypatch):
    sizes = []

    def measured(model, pairs):
        sizes.append(len(pairs) * max(map(padded_tokens, pairs)))
        return pair_forward(model, pairs)

    monkeypatch.setattr(scoring, "pair_forward", measured)
    list(score_pairs(model, tiny_pairs, names, 100))
    assert max(sizes) <= 100
    assert len(sizes) > 1


def test_the_budget_is_halved_when_memory_runs_out(model, tiny_pairs, names, monkeypatch, caplog):
    expected = sorted(score_pairs(model, tiny_pairs, names, 1000))

    def small(model, pairs):
        if len(pairs) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return pair_forward(model, pairs)

    monkeypatch.setattr(scoring, "pair_forward", small)
    found = sorted(score_pairs(model, tiny_pairs, names, 1000))
    assert [index for index, *_ in found] == [index for index, *_ in expected]
    torch.testing.assert_close([logps for _, *logps in found], [logps for _, *logps in expected], atol=1e-5, rtol=0)
    assert "runtime.tokens_per_batch is now 500 instead of 1000" in caplog.text


def test_one_pair_that_does_not_fit_memory_is_an_error(model, tiny_pairs, names, monkeypatch):
    def full(model, pairs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(scoring, "pair_forward", full)
    with pytest.raises(ValueError, match=r"out of memory for the pair p01 alone \(42 tokens\)"):
        list(score_pairs(model, tiny_pairs, names, 1000))


def test_other_errors_are_no_lack_of_memory(model, names, tiny_pairs, monkeypatch):
    def broken(model, pairs):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(scoring, "pair_forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(score_pairs(model, tiny_pairs, names, 1000))
    assert out_of_memory(MemoryError())
    assert not out_of_memory(ValueError("out of memory"))


def test_a_budget_below_the_longest_pair_is_an_error(model, tiny_pairs, names):
    with pytest.raises(ValueError, match=r"^runtime.tokens_per_batch=40: the pair p01 alone takes 42 tokens"):
        list(score_pairs(model, tiny_pairs, names, 40))


def test_log_probs_that_are_not_finite_name_the_pairs(tiny_policy, names):
    model = load_model(tiny_policy, "cpu")
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = torch.nan
    pairs = [TokenisedPair([1, 5], [6], [8]), TokenisedPair([1, 7], [6], [8]), TokenisedPair([1, 5], [7, 6], [8, 7])]
    with pytest.raises(ValueError, match=r"not finite for the pairs p02, p01$"):
        list(score_pairs(model, pairs, names, 1000))


def test_a_model_whose_logits_are_more_than_its_head_is_refused(tiny_policy, tiny_pairs):
    model = load_model(tiny_policy, "cpu")
    check_plain(model, tiny_pairs[2], "float32")
    original = model.forward_without_responses

    def scaled(*given, **named):
        output = original(*given, **named)
        output.logits = output.logits * 0.25
        return output

    model.forward_without_responses = scaled
    with pytest.raises(ValueError, match="LlamaForCausalLM does not compute its logits as its output head alone"):
        check_plain(model, tiny_pairs[2], "float32")
