"""FLR in a plain loop: every follow-up in a conversation of its own, with the template and the model as they are."""

from typing import Any

import torch

ASKED = "Please ask me a question and provide feedback to my answer."


def chat_of(layout: str, prompt: list, response: str) -> list[dict[str, str]]:
    """The turns before the follow-up."""
    if layout == "base":
        return [*prompt, {"role": "assistant", "content": response}]
    question = {"role": "assistant", "content": prompt[-1]["content"]}
    return [{"role": "user", "content": ASKED}, question, {"role": "user", "content": response}]


def _logits(model: Any, tokenizer: Any, chat: list, text: str) -> tuple[str, torch.Tensor, list[int]]:
    role = "user" if chat[-1]["role"] == "assistant" else "assistant"
    whole = tokenizer.apply_chat_template([*chat, {"role": role, "content": text}], tokenize=False)
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        return whole, model(torch.tensor([ids])).logits[0], ids


def likelihood(model: Any, tokenizer: Any, chat: list, text: str) -> float:
    """The mean log-prob of the tokens of a follow-up's text, found by their characters."""
    whole, logits, ids = _logits(model, tokenizer, chat, text)
    spans = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    start = whole.rindex(text)
    own = [place for place, (a, b) in enumerate(spans) if b > start and a < start + len(text)]
    logps = logits.log_softmax(-1)
    return sum(float(logps[place - 1, ids[place]]) for place in own) / len(own)


def released_value(model: Any, tokenizer: Any, chat: list, text: str) -> float:
    """The release: of the last n rows of logits, n the follow-up's tokens with BOS, the first, at all of these."""
    _, logits, _ = _logits(model, tokenizer, chat, text)
    target = tokenizer(text)["input_ids"]
    return float(logits[-len(target) :][0, target].mean())
