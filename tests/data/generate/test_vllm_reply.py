"""What a response keeps of a server's reply."""

from dataclasses import replace

import pytest

from apm_exp.core.types import Refusal
from apm_exp.data.endpoint.replies import Reply
from apm_exp.data.generate.samples import Response
from apm_exp.data.generate.vllm_reply import response_of

END, OTHER_END = 2, 3
CHOICE = {"token_ids": [7, 8, END], "logprobs": {"token_logprobs": [-0.5, -1.25, -0.25]}, "prompt_token_ids": [1, 5]}
REPLY = Reply("a b", "stop", None, 2, 3, "m", 1, CHOICE)


class Tokenizer:
    eos_token_id = END

    def batch_decode(self, rows, **_):
        return [" ".join(map(str, row)) for row in rows]


def response(**choice):
    ended = choice.pop("ended", "stop")
    made = response_of(replace(REPLY, ended=ended, choice=CHOICE | choice), Tokenizer(), [1, 5], [END, OTHER_END])
    assert isinstance(made, Response)
    return made


def test_the_log_prob_is_the_sum_of_the_tokens_with_the_end_token():
    made = response()
    assert (made.text, made.finished, made.length, made.logp) == ("7 8", True, 3, -2.0)
    assert (list(made.prompt_ids), list(made.ids)) == ([1, 5], [7, 8, END])


@pytest.mark.parametrize("logprobs", [None, {}, {"token_logprobs": [-0.5, None, -1.0]}, {"token_logprobs": [-0.5]}])
def test_there_is_no_log_prob_unless_each_token_has_one(logprobs):
    assert response(logprobs=logprobs).logp is None


def test_an_end_token_that_the_server_leaves_out_is_added_without_a_log_prob():
    left_out = {"token_ids": [7, 8], "logprobs": {"token_logprobs": [-0.5, -1.25]}}
    assert (list(response(**left_out, stop_reason=OTHER_END).ids), response(**left_out).logp) == ([7, 8, 3], None)
    assert list(response(**left_out, stop_reason=None).ids) == [7, 8, END]
    assert list(response(**left_out, ended="length").ids) == [7, 8]
    assert not response(**left_out, ended="length").finished


def test_a_reply_without_ids_is_a_text_or_a_refusal():
    no_ids = CHOICE | {"token_ids": None}
    made = response_of(replace(REPLY, choice=no_ids), Tokenizer(), [1, 5], [END])
    assert made == Response("a b", True, 3)
    nothing = replace(REPLY, text="", output_tokens=0, choice=no_ids)
    assert isinstance(response_of(nothing, Tokenizer(), [1, 5], [END]), Refusal)


def test_other_prompt_tokens_are_an_error():
    with pytest.raises(ValueError, match="the server has read 3 prompt tokens that are not the 2 that it was sent"):
        response(prompt_token_ids=[1, 1, 5])
