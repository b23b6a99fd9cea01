import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import TopPLogitsWarper

from apm_exp.data.generate.draw import draw, logp_of, uniform_numbers

PROMPT = [[{"role": "user", "content": "a"}], None]
EXPECTED = [0.056637207860128935, 0.4323464055820798]


def test_uniform_numbers_belong_to_seed_prompt_and_number_and_begin_alike_whatever_their_count():
    numbers = uniform_numbers(0, PROMPT, 0, 2000)
    assert numbers[:5].tolist() == uniform_numbers(0, PROMPT, 0, 5).tolist()
    others = [uniform_numbers(*changed, 5) for changed in ((1, PROMPT, 0), (0, PROMPT, 1), (0, ["b"], 0))]
    assert len({*numbers[:5], *(number for other in others for number in other)}) == 20
    assert 0 <= numbers.min() < numbers.max() < 1
    assert chisquare(np.histogram(numbers, bins=20, range=(0, 1))[0]).pvalue > 0.01


def test_uniform_numbers_stay_the_same_from_version_to_version():
    """Otherwise a resumed run would mix two sets of responses."""
    assert uniform_numbers(0, PROMPT, 0, 2).tolist() == pytest.approx(EXPECTED, abs=1e-15)


def drawn(probabilities, uniform, temperature=1.0, top_p=1.0):
    logits_NV = torch.tensor(probabilities).log().expand(len(uniform), -1)
    return draw(logits_NV, torch.tensor(uniform, dtype=torch.float64), temperature, top_p).tolist()


def test_a_token_is_the_first_up_to_which_the_probabilities_exceed_the_number():
    assert drawn([0.25, 0.0, 0.5, 0.25], [0.0, 0.24, 0.26, 0.74, 0.76, 1 - 2**-53]) == [0, 0, 2, 2, 3, 3]


def test_temperature_1_2_squares_the_probabilities():
    assert drawn([0.25, 0.75], [0.09, 0.11], temperature=0.5) == [0, 1]  # 1/16 against 9/16: 0.1


def test_top_p_draws_from_the_likeliest_tokens_and_those_as_likely_as_the_last():
    half = [0.0, 0.49, 0.51, 1 - 2**-53]
    assert drawn([0.1, 0.4, 0.1, 0.4], half, top_p=0.7) == [1, 1, 3, 3]
    assert drawn([0.1, 0.4, 0.1, 0.4], half, top_p=0.3) == [1, 1, 3, 3]  # equally likely: both or neither
    assert drawn([0.1, 0.4, 0.1, 0.4], [0.0, 0.05, 0.2, 0.55], top_p=0.85) == [0, 0, 1, 2]
    assert drawn([0.2, 0.5, 0.3], half, top_p=1e-9) == [1] * 4


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.95, 0.999])
def test_top_p_keeps_the_tokens_that_transformers_keeps(top_p):
    torch.manual_seed(0)
    logits_NV = 2 * torch.randn(5, 100)
    kept_NV = TopPLogitsWarper(top_p)(None, logits_NV).isfinite()
    uniform_N = torch.linspace(0, 1 - 1e-9, 2000, dtype=torch.float64)
    for logits_V, kept_V in zip(logits_NV, kept_NV, strict=True):
        seen = draw(logits_V.expand(len(uniform_N), -1), uniform_N, 1.0, top_p).unique().tolist()
        probable = (logits_V.softmax(0) > 2e-3).logical_and(kept_V)
        assert set(probable.nonzero()[:, 0].tolist()) <= set(seen) <= set(kept_V.nonzero()[:, 0].tolist())


def test_logits_that_are_not_finite_are_an_error():
    for top_p in (0.9, 1.0):
        with pytest.raises(ValueError, match=r"^model\.dtype: the policy's logits are not finite; "):
            draw(torch.tensor([[0.0, torch.nan]]), torch.tensor([0.5]).double(), 1.0, top_p)


def test_log_probs_by_hand():
    logits_NV = torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]], dtype=torch.float32)
    assert logp_of(logits_NV, torch.tensor([1, 0])).exp().tolist() == pytest.approx([0.5, 0.25])
