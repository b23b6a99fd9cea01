import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.loading import loading
from tests.models.tiny_folder import policy, tiny_folder


def untied(folder, **changed):
    config = LlamaConfig(
        **{"vocab_size": 32, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2} | changed,
        intermediate_size=8,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_model_is_in_evaluation_mode_with_the_weights_of_the_folder(tmp_path):
    folder = tiny_folder(tmp_path / "m")
    model = load_model(policy(folder), "cpu")
    assert not model.training
    assert model.dtype == torch.float32
    held = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in held  # tied: stored once, and not missing
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in held.items())
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_dtype_and_attention(tmp_path):
    model = load_model(policy(tiny_folder(tmp_path / "m"), dtype="bfloat16", attention="eager"), "cpu")
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"


def test_loading_leaves_auto_to_transformers():
    settings = {"trust_remote_code": False, "chat_template": None}
    assert loading(dtype="auto", attention="auto", **settings) == {"dtype": "auto", "trust_remote_code": False}
    explicit = loading(dtype="float16", attention="sdpa", **settings)
    assert explicit == {"dtype": torch.float16, "attn_implementation": "sdpa", "trust_remote_code": False}


def test_missing_head_is_an_error(tmp_path):
    folder = untied(tmp_path)
    edit_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(ValueError, match=rf"model\.path={folder}: the folder lacks lm_head\.weight, which LlamaForC"):
        load_model(policy(folder), "cpu")


def test_missing_names_are_listed_up_to_five(tmp_path):
    folder = untied(tmp_path)
    edit_weights(folder, lambda weights: [weights.pop(name) for name in list(weights) if "layers.0" in name])
    with pytest.raises(ValueError, match=r"layers\.0\.\S+ and 4 more, which") as error:
        load_model(policy(folder), "cpu")
    assert "\n" not in str(error.value)


def test_weights_of_another_shape_are_an_error(tmp_path):
    folder = untied(tmp_path)
    edit_weights(folder, lambda weights: weights.update({"lm_head.weight": torch.zeros(16, 8)}))
    with pytest.raises(ValueError, match=r"has in another shape lm_head\.weight \(16, 8\) for \(32, 8\)"):
        load_model(policy(folder), "cpu")


def test_unused_weights_are_a_warning(tmp_path, caplog):
    folder = untied(tmp_path)
    edit_weights(folder, lambda weights: weights.update({"score.weight": torch.zeros(1, 8)}))
    load_model(policy(folder), "cpu")
    assert [record.getMessage() for record in caplog.records] == [
        f"model.path={folder}: LlamaForCausalLM does not use score.weight"
    ]


def test_pickled_weights_are_not_read(tmp_path):
    folder = untied(tmp_path)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="its weights cannot be loaded"):
        load_model(policy(folder), "cpu")


def test_tokenizer_gets_the_policys_template_and_keeps_its_own_else(tmp_path):
    folder = tiny_folder(tmp_path / "m")
    own = load_tokenizer(policy(folder))
    assert own.chat_template == (folder / "chat_template.jinja").read_text()
    assert own.pad_token == "<|pad|>"
    assert load_tokenizer(policy(folder, chat_template="{{ messages }}")).chat_template == "{{ messages }}"


def test_tokenizer_without_pad_token_pads_with_its_end_token(tmp_path):
    folder = tiny_folder(tmp_path / "m")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(policy(folder)).pad_token == "<|end|>"


def test_folder_without_tokenizer_is_an_error(tmp_path):
    folder = untied(tmp_path)
    assert AutoConfig.from_pretrained(folder).vocab_size == 32
    with pytest.raises(ValueError, match=rf"model\.path={folder}: its tokenizer cannot be loaded: ") as error:
        load_tokenizer(policy(folder))
    assert "\n" not in str(error.value)
