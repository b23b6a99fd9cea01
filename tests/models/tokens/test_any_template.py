"""The chat templates that TRL ships, as they are: the prompt is what generation sees, the response its text and end."""

import pytest

from apm_exp.core.types import Refusal
from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.turn_end import turn_end
from tests.models.tokens.any_template import SHIPPED, tokenizer_for

PARTS_ONLY = ("idefics3", "smolvlm", "llava_next")  # their content is a list of parts; text is not shown
ROLES = ["<|user|>", "<|assistant|>", "<|system|>"]  # Phi-3 writes them from pieces


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


CONVERSATIONS = {
    "one turn": [user("Hello")],
    "three turns": [user("Hello"), assistant("Hi!"), user("And?")],
    "system": [{"role": "system", "content": "Be short."}, user("Hello")],
    "white space": [user("Hello \n")],
    "thinking before": [user("Hello"), assistant("<think>\nold\n</think>\n\nHi!"), user("And?")],
    "code": [user("x = {'a': 1}\n```py\nprint('<b>')\n```")],
}
ENDS = {
    "<|im_end|>": ("qwen", "lfm2", "nemotron"),
    "<|eot_id|>": ("llama3",),
    "<end_of_turn>": ("gemma", "gemma_training", "gemma3"),
    "<turn|>": ("gemma4", "diffusion_gemma"),
    "<\uff5cend▁of▁sentence\uff5c>": ("deepseek",),
    "<|END_OF_TURN_TOKEN|>": ("cohere", "cohere_training"),
    "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>": ("cohere2",),
    "<|return|>": ("gptoss",),
    "<|eot|>": ("muse",),
    "<|end|>": ("phi3",),
    "<|user|>": ("glm4moe",),  # nothing is written after a last response: the next turn's header ends it
}
LEADS = {"gptoss": "<|channel|>final<|message|>", "muse": " to=user<|message|>"}
OTHERWISE = ("deepseek", "nemotron", "glm4moe", "qwen3_training", "qwen3_5_think", "qwen3_6", "qwen3_8")  # thinking


def of(name, table):
    """The entry whose names start this template's: the longest."""
    names = {prefix: key for key, prefixes in table.items() for prefix in prefixes if name.startswith(prefix)}
    return names[max(names, key=len)]


@pytest.mark.parametrize("name", [name for name in SHIPPED if not name.startswith(PARTS_ONLY)])
def test_every_shipped_template(name):
    tokenizer = tokenizer_for(SHIPPED[name].read_text(), *(ROLES if name.startswith("phi3") else []))
    prompts, count = list(CONVERSATIONS.values()), len(CONVERSATIONS)
    limits = {"max_length": 9000, "max_prompt_length": 8000}
    pairs = per_response(
        tokenizer, prompts, [[assistant("Paris, I say.")]] * count, [[assistant("Rome")]] * count, **limits
    )
    end, lead = of(name, ENDS), next((LEADS[key] for key in LEADS if name.startswith(key)), "")
    for kind, prompt, pair in zip(CONVERSATIONS, prompts, pairs, strict=True):
        if isinstance(pair, Refusal):
            assert (kind, pair.detail) == ("system", "System role not supported")
            continue
        assert tokenizer.decode(pair.chosen_ids) == lead + "Paris, I say." + end, kind
        assert tokenizer.decode(pair.rejected_ids) == lead + "Rome" + end, kind
        if "strftime_now" not in tokenizer.chat_template:
            seen = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
            assert pair.prompt_ids == seen, kind
        assert bool(pair.differs) == (name == "qwen3" or name.startswith(OTHERWISE)), kind
    assert turn_end(tokenizer).token_id == pairs[0].chosen_ids[-1]


def test_thinking_in_a_response_is_text():
    thinking = "<think>\nIt is in France.\n</think>\n\nParis."
    for name in ("qwen3", "deepseekv3", "nemotron_3_nano", "llama3"):
        tokenizer = tokenizer_for(SHIPPED[name].read_text())
        limits = {"max_length": 9000, "max_prompt_length": 8000}
        pair = per_response(tokenizer, [[user("Hello")]], [[assistant(thinking)]], [[assistant("Rome")]], **limits)[0]
        assert tokenizer.decode(pair.chosen_ids) == thinking + of(name, ENDS)
