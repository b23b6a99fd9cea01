"""Every recipe's own tokens profile and chat template, rendered and looked at."""

from functools import cache
from pathlib import Path

import pytest

from apm_exp.core import component
from apm_exp.core.conf import options_of
from tests.models.tokens.chat_tokenizers import gemma2, llama3
from tests.test_configs import compose

PROMPT = [{"role": "user", "content": "What is the capital of France?"}]
SYSTEM = [{"role": "system", "content": "Be short."}, *PROMPT]
LLAMA_USER = "<|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of France?<|eot_id|>"
LLAMA_RESPONSE = "<|start_header_id|>assistant<|end_header_id|>\n\nParis.<|eot_id|><|end_of_text|>"
GEMMA_USER = "<start_of_turn>user\nWhat is the capital of France?<end_of_turn>\n"
GEMMA_RESPONSE = "<start_of_turn>model\nParis.<end_of_turn>\n<eos>"
RECIPES = options_of("experiment")


@cache
def config(recipe):
    return compose(f"experiment={recipe}")


def decoded(recipe, prompt):
    """The texts of the prompt's and the chosen response's tokens, with a tokenizer that has the model's own."""
    template = config(recipe)["model"]["chat_template"]
    tokenizer = gemma2(Path(template).read_text()) if template else llama3()
    responses = [[{"role": "assistant", "content": text}] for text in ("Paris.", "Rome")]
    profile = component.bind("tokens", config(recipe)["tokens"])
    pair = profile(tokenizer, [prompt], [responses[0]], [responses[1]])[0]
    return tokenizer.decode(pair.prompt_ids), tokenizer.decode(pair.chosen_ids)


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "gemma" in name])
def test_gemma_recipes(recipe):
    assert decoded(recipe, PROMPT) == ("<bos>" + GEMMA_USER, GEMMA_RESPONSE)
    merged = GEMMA_USER.replace("What", "Be short.\n\nWhat")
    assert decoded(recipe, SYSTEM) == ("<bos>" + merged, GEMMA_RESPONSE)


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "llama" in name])
def test_llama_recipes(recipe):
    begin, turn = "<|begin_of_text|>", "<|start_header_id|>system<|end_header_id|>\n\nBe short.<|eot_id|>"
    assert decoded(recipe, PROMPT) == (begin + LLAMA_USER, LLAMA_RESPONSE)
    assert decoded(recipe, SYSTEM) == (begin + turn + LLAMA_USER, LLAMA_RESPONSE)


def test_every_recipe_is_looked_at():
    models = {name: config(name)["model"]["path"] for name in RECIPES}
    assert set(models.values()) == {"google/gemma-2-9b-it", "meta-llama/Meta-Llama-3-8B-Instruct"}
    assert all(("gemma" in name) == ("gemma" in model) for name, model in models.items())
