"""Rows with tools, tool calls and reasoning, through templates that write them and templates that do not."""

import pytest

from apm_exp.core.types import Refusal
from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.simpo_2024 import simpo_2024
from tests.models.tokens.any_template import SHIPPED, tokenizer_for
from tests.models.tokens.chat_tokenizers import chatml

LIMITS = {"max_length": 9000, "max_prompt_length": 8000}
WEATHER = {"name": "get_weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": WEATHER}]
CALL = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
ASKED = [{"role": "user", "content": "Weather?"}]
RESULT = [{"role": "tool", "content": "12 degrees", "tool_call_id": "1"}]
DEVELOPER = [{"role": "developer", "content": "Sun!"}, *ASKED]
LEFT_OUT = "the chat template leaves out a part of the conversation"


def chosen_of(name, prompt, chosen, tools=TOOLS):
    tokenizer = tokenizer_for(SHIPPED[name].read_text())
    rejected = [{"role": "assistant", "content": "I cannot look."}]
    message = {"role": "assistant", **chosen}
    pair = per_response(tokenizer, [prompt], [[message]], [rejected], [tools], **LIMITS)[0]
    return pair if isinstance(pair, Refusal) else tokenizer.decode(pair.chosen_ids)


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("qwen2_5", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>'),
        ("llama3_1", '{"name": "get_weather", "parameters": {"city": "Oslo"}}<|eot_id|>'),
        ("gptoss", ' to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Oslo"}<|call|>'),
        ("gemma4", '<|tool_call>call:get_weather{city:<|"|>Oslo<|"|>}<tool_call|><|tool_response>'),
    ],
)
@pytest.mark.parametrize("content", ["", None])
def test_a_call_is_what_the_template_makes_of_it(name, content, response):
    assert chosen_of(name, ASKED, {"content": content, "tool_calls": [CALL]}) == response


@pytest.mark.parametrize("content", ["", None])
@pytest.mark.parametrize("name", ["qwen3", "llama3_1", "deepseekv3", "gemma4", "gptoss", "nemotron_3_nano", "glm4moe"])
def test_calls_before_the_response_reach_the_template(name, content):
    prompt = [*ASKED, {"role": "assistant", "content": content, "tool_calls": [CALL]}, *RESULT]
    assert "It is 12 degrees." in chosen_of(name, prompt, {"content": "It is 12 degrees."}, tools=None)


@pytest.mark.parametrize(
    ("name", "prompt", "chosen", "tools", "lacking"),
    [
        ("llama3", ASKED, {"content": "Hm."}, TOOLS, "the tool get_weather"),
        ("llama3", ASKED, {"content": "", "tool_calls": [CALL]}, None, "the assistant's tool_calls: 'get_weather'"),
        (
            "llama3_1",
            ASKED,
            {"content": "Let me see.", "tool_calls": [CALL]},
            TOOLS,
            "assistant's content: 'Let me see",
        ),
        ("llama3", ASKED, {"content": "", "function_call": CALL["function"]}, None, "tool_calls: 'get_weather'"),
        ("deepseekv3", ASKED, {"content": "12.", "reasoning_content": "Hm."}, None, "reasoning_content: 'Hm.'"),
        ("deepseekv3", DEVELOPER, {"content": "12."}, None, "the developer's content: 'Sun!'"),
    ],
)
def test_what_the_template_leaves_out_is_refused_by_name(name, prompt, chosen, tools, lacking):
    refusal = chosen_of(name, prompt, chosen, tools)
    assert refusal.reason == LEFT_OUT
    assert lacking in refusal.detail
    assert refusal.detail.endswith("set model.chat_template=FILE to a template that writes it")


def test_reasoning_is_written_by_the_template():
    chosen = {"content": "12.", "reasoning_content": "Hm."}
    assert chosen_of("qwen3", ASKED, chosen, None) == "<think>\nHm.\n</think>\n\n12.<|im_end|>"
    assert chosen_of("qwen3_5_think", ASKED, chosen, None) == "Hm.\n</think>\n\n12.<|im_end|>"


def test_simpos_rules_refuse_them_too():
    limits = {**LIMITS, "insert_empty_system": True}
    plain, call = {"role": "assistant", "content": "12."}, {"role": "assistant", "content": "", "tool_calls": [CALL]}
    pairs = simpo_2024(chatml(), [ASKED] * 2, [[call], [plain]], [[plain]] * 2, [None, TOOLS], **limits)
    assert pairs[0] == Refusal(LEFT_OUT, "the assistant's tool_calls: 'get_weather'")
    assert pairs[1].reason == "a prompt with tools"


@pytest.mark.parametrize("name", ["qwen3", "deepseekv3", "nemotron_3_nano", "glm4moe", "qwen3_8", "llama3_1", "gptoss"])
def test_fields_that_the_template_does_not_write_change_no_token(name):
    plain = chosen_of(name, ASKED, {"content": "Rain."}, tools=None)
    assert chosen_of(name, ASKED, {"content": "Rain.", "model": "m", "weight": 1}, tools=None) == plain


LLAMA = SHIPPED["llama3_1"].read_text()
ALONE = (
    "{% for m in messages %}{% if m.role == 'user' or loop.last %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "earlier", "lacking"),
    [
        (ALONE, {"content": "Sure."}, "the assistant's content: 'Sure.'"),
        (LLAMA, {"content": "Let me see.", "tool_calls": [CALL]}, "the assistant's content: 'Let me see.'"),
    ],
)
def test_an_earlier_response_that_the_template_leaves_out_refuses_the_row(template, earlier, lacking):
    prompt = [*ASKED, {"role": "assistant", **earlier}, *ASKED]
    sides = ([[{"role": "assistant", "content": text}]] for text in ("Rain.", "Sun."))
    refused = per_response(tokenizer_for(template), [prompt], *sides, **LIMITS)[0]
    assert isinstance(refused, Refusal)
    assert refused.reason == LEFT_OUT
    assert refused.detail.startswith(lacking)
