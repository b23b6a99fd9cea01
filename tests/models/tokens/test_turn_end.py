"""Where a response begins and ends, for families of templates that differ in it; each in our own words."""

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.turn_end import turn_end
from tests.models.tokens.any_template import tokenizer_for
from tests.models.tokens.chat_tokenizers import CHATML, added_chatml, byte_level

COMMAND_R7B = (
    "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>{% if m.role == 'user' %}<|USER_TOKEN|>"
    "{{ m.content }}{% else %}<|CHATBOT_TOKEN|><|START_RESPONSE|>{{ m.content }}<|END_RESPONSE|>{% endif %}"
    "<|END_OF_TURN_TOKEN|>{% endfor %}{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)
PHI_4_MINI = (  # the end of the text right after the end of the last turn
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)
GLM_4 = (  # no end of a turn: the next one's header is
    "[gMASK]<sop>{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_V3 = (  # the system turn stands in the user's last turn, if that comes last
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content + '\n\n' %}"
    "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}{% if m.role == 'user' %}"
    "[INST] {{ system if loop.last and system is defined else '' }}{{ m.content }}[/INST]"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
R1 = (  # the prompt opens a thinking section, which the template deletes from responses
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}{% else %}<|Assistant|>"
    "{{ m.content.split('</think>')[-1] }}<|end_of_sentence|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"
)
HEADERS = ["<|user|>", "<|assistant|>"]


def user(text):
    return {"role": "user", "content": text}


def texts(tokenizer, chosen="Paris.", prompt=None):
    """The texts of the prompt's and the chosen response's tokens, and the difference that is told."""
    sides = [[{"role": "assistant", "content": text}] for text in (chosen, "Rome")]
    limits = {"max_length": 900, "max_prompt_length": 800}
    pair = per_response(tokenizer, [prompt or [user("Hello")]], [sides[0]], [sides[1]], **limits)[0]
    return tokenizer.decode(pair.prompt_ids), tokenizer.decode(pair.chosen_ids), pair.differs


@pytest.mark.parametrize(
    ("template", "more", "response"),
    [
        (COMMAND_R7B, [], "<|START_RESPONSE|>Paris.<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"),
        (PHI_4_MINI, HEADERS, "Paris.<|end|>"),
        (GLM_4, HEADERS, "Paris.<|user|>"),
        (LLAMA_2, [], " Paris. <eos>"),
        (MISTRAL_V3, ["[INST]", "[/INST]"], " Paris.<eos>"),
        (CHATML, [], "Paris.<|im_end|>"),
    ],
)
def test_response_and_its_end(template, more, response):
    tokenizer = tokenizer_for(template, *more)
    _, chosen, differs = texts(tokenizer)
    assert chosen == response
    assert not differs
    end = turn_end(tokenizer)
    assert response.endswith(tokenizer.convert_ids_to_tokens(end.token_id))
    assert response == end.lead + "Paris." + end.text


def test_end_token_that_is_added_but_not_special():
    assert texts(added_chatml())[1] == "Paris.<|im_end|>"


def test_system_turn_that_a_response_makes_vanish_stays_in_the_prompt():
    tokenizer = tokenizer_for(MISTRAL_V3, "[INST]", "[/INST]")
    system = {"role": "system", "content": "Be short."}
    prompt, chosen, differs = texts(tokenizer, prompt=[system, user("Hello")])
    assert prompt == "<bos>[INST] Be short.\n\nHello[/INST]"
    assert chosen == " Paris.<eos>"
    assert differs == repr(prompt + chosen) + ", but the template writes '<bos>[INST] Hello[/INST] Paris.<eos>'"


def test_thinking_that_the_template_deletes_is_scored_as_it_is():
    tokenizer = tokenizer_for(R1)
    prompt, chosen, differs = texts(tokenizer, "It is in France.\n</think>\n\nParis.")
    assert prompt == "<bos><|User|>Hello<|Assistant|><think>\n"
    assert chosen == "It is in France.\n</think>\n\nParis.<|end_of_sentence|>"
    assert differs


def test_a_template_that_trims_gives_the_response_its_white_space():
    trimmed = tokenizer_for(CHATML.replace("m['content']", "m['content'] | trim"))
    assert texts(trimmed, " Paris.\n")[1:] == ("Paris.<|im_end|>", "")
    assert texts(tokenizer_for(CHATML), " Paris.\n")[1:] == (" Paris.\n<|im_end|>", "")


def test_tokenizer_without_added_tokens_ends_with_its_end_token():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(byte_level().to_str()), eos_token="<eos>")
    tokenizer.chat_template = CHATML  # whose tokens are text here
    assert texts(tokenizer)[1] == "Paris.<|im_end|>\n<eos>"
