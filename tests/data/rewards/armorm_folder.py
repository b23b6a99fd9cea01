"""A tiny random ArmoRM with the released tensor names, and its scores by hand."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

MARKS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[PAD]"]
TEMPLATE = (  # of Llama 3
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' "
    "+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}"
)
HEAD = ["regression_layer.weight", "reward_transform_matrix", "gating.logit_scale"]
HEAD += [f"gating.layers.{layer}.{name}" for layer in range(4) for name in ("weight", "bias")]
OWN = {"num_objectives": 19, "gating_temperature": 10, "gating_hidden_dim": 24, "gating_n_hidden": 3, "num_labels": 1}


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and the marks of Llama 3."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    special = {"bos_token": MARKS[0], "eos_token": MARKS[4], "pad_token": MARKS[5]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_only, clean_up_tokenization_spaces=False, **special)
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def armorm_folder(folder: Path) -> Path:
    """Write the model as it is released: a Llama's tensors, and those of its head."""
    tokenizer = llama3_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), intermediate_size=32, max_position_embeddings=512, **sizes, **OWN)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = LlamaModel(config)
        for weight in backbone.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        widths = [16, 24, 24, 24, 19]
        tensors = {f"model.{name}": weight for name, weight in backbone.state_dict().items()}
        tensors |= {"regression_layer.weight": torch.randn(19, 16), "reward_transform_matrix": torch.randn(19, 19)}
        for layer in range(4):
            tensors[f"gating.layers.{layer}.weight"] = torch.randn(widths[layer + 1], widths[layer])
            tensors[f"gating.layers.{layer}.bias"] = torch.randn(widths[layer + 1])
        tensors["gating.logit_scale"] = torch.tensor([1.3])
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    known = config.to_dict() | {"architectures": ["LlamaForRewardModelWithGating"]}
    known["auto_map"] = {"AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"}
    (folder / "config.json").write_text(json.dumps(known))
    tokenizer.save_pretrained(folder)
    return folder


@torch.inference_mode()
def by_hand(folder: Path, prompt: list, response: str, max_length: int | None = None) -> float:
    """The score as the paper and the released code define it, in float64 after the backbone."""
    tokenizer, tensors = llama3_tokenizer(), load_file(folder / "model.safetensors")
    messages = [*prompt, {"role": "assistant", "content": response}]
    ids = tokenizer.apply_chat_template(messages, return_dict=False)[:max_length]
    before = tokenizer.apply_chat_template(prompt, return_dict=False)
    gate = len(before) - 1  # the end of the turn before the response
    assert tokenizer.convert_ids_to_tokens(ids[gate : gate + 2]) == ["<|eot_id|>", "<|start_header_id|>"]
    hidden = LlamaModel.from_pretrained(folder)(torch.tensor([ids])).last_hidden_state[0].double()
    rewards = tensors["regression_layer.weight"].double() @ hidden[-1]
    mixed = rewards @ tensors["reward_transform_matrix"].double()
    values = hidden[gate]
    for layer in range(4):
        weight, bias = (tensors[f"gating.layers.{layer}.{name}"].double() for name in ("weight", "bias"))
        values = weight @ values + bias
        values = values.clamp(min=0) if layer < 3 else values
    weights = torch.softmax(values / 10, 0) * tensors["gating.logit_scale"].double()
    return float(weights @ mixed)
