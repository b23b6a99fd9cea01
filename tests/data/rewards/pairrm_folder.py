"""A tiny random PairRM with the released tensor names, and its logits by hand."""

import json
import string
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, DebertaV2Config, DebertaV2Model, DebertaV2Tokenizer

MARKS = ["<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>"]
HEAD = [f"head_layer.{layer}.{name}" for layer in (1, 4) for name in ("weight", "bias")]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
OF_DEBERTA = {  # as in v3
    "max_position_embeddings": 64,
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}


def pair_tokenizer() -> DebertaV2Tokenizer:
    """Pieces of one letter, as SentencePiece has them, and the marks of PairRM."""
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "▁", *string.ascii_letters, *"?.<|>123: "]
    tokenizer = DebertaV2Tokenizer(vocab=[(piece, -1.0) for piece in pieces], unk_id=3)
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    return tokenizer


def pairrm_folder(folder: Path) -> Path:
    """Write the model as it is released: DeBERTa's tensors, and those of its head."""
    tokenizer = pair_tokenizer()
    names = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id", "cand_prefix_id")
    own = dict(zip(names, tokenizer.convert_tokens_to_ids(MARKS), strict=True))
    config = DebertaV2Config(vocab_size=len(tokenizer), **SIZES, **OF_DEBERTA, **own, n_tasks=1, drop_out=0.05)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = DebertaV2Model(config)
        for weight in encoder.parameters():
            torch.nn.init.normal_(weight, std=1.0)
        tensors = {f"pretrained_model.{name}": weight for name, weight in encoder.state_dict().items()}
        shapes = [(16, 32), (16,), (1, 16), (1,)]
        tensors |= {name: torch.randn(shape) for name, shape in zip(HEAD, shapes, strict=True)}
    tensors["pretrained_model.embeddings.position_ids"] = torch.arange(64)[None]  # which older versions wrote
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"architectures": ["DebertaV2PairRM"]}))
    tokenizer.save_pretrained(folder)
    return folder


@torch.inference_mode()
def by_hand(folder: Path, source: str, first: str, second: str, source_most: int, candidate_most: int) -> float:
    """The logit of one comparison as the released code computes it, in float64 after the encoder."""
    tokenizer, tensors = AutoTokenizer.from_pretrained(folder), load_file(folder / "model.safetensors")
    ids = tokenizer.encode(MARKS[0] + source, max_length=source_most, truncation=True)
    most = (source_most + 2 * candidate_most - len(ids)) // 2
    for mark, text in zip(MARKS[1:], (first, second), strict=False):
        ids += tokenizer.encode(mark + text, max_length=most, truncation=True)
    del tensors["pretrained_model.embeddings.position_ids"]
    encoder = DebertaV2Model(DebertaV2Config.from_pretrained(folder)).eval()
    encoder.load_state_dict(
        {name.removeprefix("pretrained_model."): weight for name, weight in tensors.items() if name not in HEAD}
    )
    hidden = encoder(torch.tensor([ids])).last_hidden_state[0].double()
    at = [hidden[ids.index(mark)] for mark in tokenizer.convert_tokens_to_ids(MARKS[:3])]
    wide, wide_bias, last, last_bias = (tensors[name].double() for name in HEAD)

    def head(candidate: torch.Tensor) -> torch.Tensor:
        return last @ torch.tanh(wide @ torch.cat([at[0], candidate]) + wide_bias) + last_bias

    return float(head(at[1]) - head(at[2]))
