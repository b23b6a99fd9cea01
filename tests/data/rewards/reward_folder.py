"""A small reward model: a random Llama classifier, and the rewards it gives when each text is scored alone."""

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from tests.models.tiny_folder import tiny_folder


def reward_folder(folder: Path, labels: int = 1) -> Path:
    """Write the classifier into a folder; its tokenizer has no pad token."""
    tiny_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig.from_pretrained(folder, num_labels=labels, pad_token_id=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForSequenceClassification(config)
    torch.nn.init.normal_(model.score.weight, std=5.0)
    model.save_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    return folder


def alone(folder: Path, prompt: list, answer: str, max_length: int = 256) -> float:
    """The logit of the last token, one text at a time and without padding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    messages = [*prompt, {"role": "assistant", "content": answer}]
    ids = tokenizer.apply_chat_template(messages, return_dict=False)[:max_length]
    with torch.inference_mode():
        return float(model.score(model.model(torch.tensor([ids])).last_hidden_state)[0, -1, 0])
