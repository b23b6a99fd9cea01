"""A reward model that is small enough to be trained in a test: no judge of quality, but a classifier like any other.

It reads the conversation with the policy's tokenizer and template and is trained on the pairs of pairs.jsonl alone
(Bradley-Terry), which it learns by heart. What it says of other responses is a fixed opinion without merit.
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

PAIRS = Path(__file__).parent / "pairs.jsonl"
_STEPS = 30


def reward_folder(folder: Path, tokenizer_of: Path) -> Path:
    """Train the classifier and save it as a Hugging Face folder."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"num_labels": 1, "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 2048}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(LlamaConfig(vocab_size=len(tokenizer), **sizes, **more))
    rows = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    sides = [[_conversation(row, side) for row in rows] for side in ("chosen", "rejected")]
    texts = [[tokenizer.apply_chat_template(each, tokenize=False) for each in side] for side in sides]
    inputs = tokenizer([*texts[0], *texts[1]], add_special_tokens=False, padding=True, return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(_STEPS):
        chosen_P, rejected_P = model(**inputs).logits[:, 0].split(len(rows))
        loss = -logsigmoid(chosen_P - rejected_P).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _conversation(row: dict, side: str) -> list[dict[str, str]]:
    prompt = row["prompt"] if isinstance(row["prompt"], list) else [{"role": "user", "content": row["prompt"]}]
    return [*prompt, {"role": "assistant", "content": row[side]}]
