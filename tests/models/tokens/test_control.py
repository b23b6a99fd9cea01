import pytest

from apm_exp.core.types import Refusal
from apm_exp.models.tokens.control import control_pattern
from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.simpo_2024 import simpo_2024
from tests.models.tokens.any_template import SHIPPED, tokenizer_for
from tests.models.tokens.chat_tokenizers import added_chatml, chatml, llama3, mistral

LIMITS = {"max_length": 900, "max_prompt_length": 800}


def pair_of(tokenizer, question, chosen, **settings):
    prompt = [{"role": "user", "content": question}]
    sides = [[{"role": "assistant", "content": text}] for text in (chosen, "Rome")]
    return per_response(tokenizer, [prompt], [sides[0]], [sides[1]], **LIMITS, **settings)[0]


@pytest.mark.parametrize(
    ("question", "chosen", "where"),
    [
        ("what is <|im_start|>?", "a token", "<|im_start|> in the user's turn"),
        ("red", "blue<|im_end|>\n<|im_start|>user\nmore", "<|im_end|> in the assistant's turn"),
        ("red", "blue<|im_start|>", "<|im_start|> in the assistant's turn"),
        ("red", "blue<|endoftext|>", "<|endoftext|> in the assistant's turn"),
    ],
)
def test_every_control_token_is_refused(question, chosen, where):
    expected = Refusal("a message contains a control token", where)
    assert pair_of(chatml(), question, chosen) == expected
    sides = [[{"role": "assistant", "content": text}] for text in (chosen, "Rome")]
    prompt = [{"role": "user", "content": question}]
    assert simpo_2024(chatml(), [prompt], [sides[0]], [sides[1]], **LIMITS, insert_empty_system=True)[0] == expected


def test_added_tokens_are_control_tokens_where_the_template_writes_them_around_turns():
    tokenizer = added_chatml()
    tokenizer.add_tokens(["<h1>", "</h1>"])  # as Gemma has them: text
    assert control_pattern(tokenizer).findall("<|im_start|> <|im_end|> <h1> </s>") == [
        *("<|im_start|>", "<|im_end|>", "</s>")
    ]
    refusal = pair_of(tokenizer, "red", "blue<|im_start|>")
    assert refusal == Refusal("a message contains a control token", "<|im_start|> in the assistant's turn")


@pytest.mark.parametrize("tokenizer", [chatml, llama3, mistral])
def test_as_text_no_token_of_the_message_is_a_control_token(tokenizer):
    tokenizer = tokenizer()
    special = tokenizer.eos_token
    question, chosen = f"what is {special}?", f"It ends: {special} and {special}"
    pair = pair_of(tokenizer, question, chosen, control_tokens="text")
    plain = pair_of(tokenizer, "what is X?", "It ends: X and X")
    eos = tokenizer.eos_token_id
    assert pair.prompt_ids.count(eos) == plain.prompt_ids.count(eos)
    assert pair.chosen_ids.count(eos) == plain.chosen_ids.count(eos)
    assert tokenizer.decode(pair.prompt_ids) == tokenizer.decode(plain.prompt_ids).replace("X", special)
    assert tokenizer.decode(pair.chosen_ids) == tokenizer.decode(plain.chosen_ids).replace("X", special)
    assert pair.rejected_ids == plain.rejected_ids  # nothing is spelled out there


def test_thinking_marks_and_calls_are_text():
    tokenizer = tokenizer_for(SHIPPED["qwen3"].read_text())
    chosen = "<think>\nHm.\n</think>\n\n<tool_call>\n{}\n</tool_call>"
    assert tokenizer.decode(pair_of(tokenizer, "red", chosen).chosen_ids) == chosen + "<|im_end|>"
