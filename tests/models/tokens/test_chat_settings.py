from copy import copy

import pytest

from apm_exp.core.types import TEMPLATE_DATE, Refusal
from apm_exp.models.tokens.chat_settings import ChatSettings, check_variables, is_day
from apm_exp.models.tokens.render import chat_text
from tests.models.tokens.any_template import SHIPPED, tokenizer_for
from tests.models.tokens.chat_tokenizers import CHATML

HELLO = [{"role": "user", "content": "Hello"}]


def written(template, **settings):
    tokenizer = copy(tokenizer_for(template))
    tokenizer.chat_settings = ChatSettings(**settings)
    return chat_text(tokenizer, HELLO, generation_prompt=True)


def test_the_day_is_the_same_every_day():
    assert "Today Date: 26 Jul 2024" in written(SHIPPED["llama3_2"].read_text(), day="2024-07-26")
    assert "Current date: 2024-07-06\n" in written(SHIPPED["gptoss"].read_text(), day="2024-07-06")
    assert TEMPLATE_DATE in chat_text(tokenizer_for(SHIPPED["gptoss"].read_text()), HELLO, generation_prompt=True)


def test_every_code_of_a_date():
    template = (
        "\n  {{ strftime_now('%A, %-d %B %Y, %H:%M:%S, 100%%, %j') }}{% if strftime_now is defined %}!{% endif %}"
    )
    assert written(template, day="2024-07-06") == "\n  Saturday, 6 July 2024, 00:00:00, 100%, 188!"


def test_an_error_in_a_template_with_a_date_has_its_own_line():
    with pytest.raises(ValueError, match=r"model\.chat_template: line 2: "):
        written("{{ strftime_now('%d') }}\n{% if %}")


def test_variables_reach_the_template():
    prompt = written(SHIPPED["qwen3"].read_text(), variables={"enable_thinking": False})
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"enable_thinkin": False}, "model.chat_template_kwargs.enable_thinkin=False: the chat template does not use"),
        ({"tools": []}, r"model.chat_template_kwargs.tools=\[\]: transformers already passes this to every template"),
        ({"messages": []}, r"model.chat_template_kwargs.messages=\[\]: transformers already passes this"),
    ],
)
def test_variables_that_do_nothing_are_refused(variables, message):
    tokenizer = copy(tokenizer_for(SHIPPED["qwen3"].read_text()))
    tokenizer.chat_settings = ChatSettings(variables=variables)
    with pytest.raises(ValueError, match=message):
        check_variables(tokenizer, tokenizer.chat_template)


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "20240726", "2024-7-6", ""])
def test_a_day_that_is_none(text):
    with pytest.raises(ValueError, match="give YYYY-MM-DD"):
        is_day(text)


@pytest.mark.parametrize(
    ("template", "detail"),
    [
        ("{% include '/etc/passwd' %}", "it includes another file, which is not supported"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "its recursion is infinite"),
        ("{{ 1 / (messages | length - 1) }}", "ZeroDivisionError: division by zero"),
        ("{{ 'x' * 10 ** 18 }}", "it takes too much memory"),
        ("{{ messages[5].content }}", "list object has no element 5"),
        ("{{ messages[0].content + 1 }}", 'TypeError: can only concatenate str (not "int") to str'),
        ("{{ messages.__class__.__mro__ }}", "access to attribute '__class__' of 'list' object is unsafe."),
    ],
)
def test_what_a_template_cannot_do_is_a_refusal_of_one_line(template, detail):
    assert written(template) == Refusal("the chat template does not take the conversation", detail)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 8) % 7 }}",  # which Jinja computes while it compiles
    ],
)
def test_a_template_that_does_not_end(monkeypatch, template):
    monkeypatch.setattr("apm_exp.models.tokens.render.LIMIT", 0.1)
    assert written(template).detail == "it did not finish within 0.1 s"
    assert written(CHATML).startswith("<|im_start|>user\nHello")  # the timer is off again
