import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from apm_exp.models.preflight import preflight
from tests.architectures import tiny
from tests.models.tiny_folder import NODE, tiny_folder


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "model")


def edit(file, **changed):
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def problem(folder, **changed):
    """The one line that a folder and a node get."""
    with pytest.raises(ValueError, match=r"^model\.") as error:
        preflight(folder, NODE | changed)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_good_folder(folder):
    assert preflight(folder, NODE)[0].device.type == "meta"


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
def test_every_dtype(folder, dtype):
    preflight(folder, {**NODE, "dtype": dtype})


def test_no_weight_is_read(folder):
    weights = folder / "model.safetensors"
    header = int.from_bytes(weights.read_bytes()[:8], "little")
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.truncate(8 + header)
        file.truncate(size)  # all weights are zero now, in a file of the right size
    preflight(folder, NODE)


def test_no_config(folder):
    (folder / "config.json").unlink()
    assert problem(folder) == "model.path=MINE: no config.json; give a Hugging Face model folder"
    (folder / "adapter_config.json").touch()
    assert problem(folder) == "model.path=MINE: an adapter alone; merge the adapter into its model first"


def test_damaged_config(folder):
    (folder / "config.json").write_text("{")
    assert problem(folder).startswith("model.path=MINE: config.json cannot be read: JSONDecodeError")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "no weights (model.safetensors)" in problem(folder)


def test_pickled_weights_only(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = problem(folder)
    assert "only pickled weights (pytorch_model.bin), and nothing is unpickled here; convert them" in message
    assert "safetensors" in message


def test_truncated_weights(folder):
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    assert "model.safetensors is damaged or missing" in problem(folder)


def test_missing_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"model.embed_tokens.weight": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert "model-00002-of-00002.safetensors is damaged or missing" in problem(folder)
    del shards["b"]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    preflight(folder, NODE)


def test_head_that_would_be_random(folder):
    edit(folder / "config.json", tie_word_embeddings=False)
    assert "the folder lacks lm_head.weight, so the model's head would be random" in problem(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"lm_head.weight": torch.zeros(280, 16)}, folder / "model.safetensors", {"format": "pt"})
    preflight(folder, NODE)


@pytest.mark.parametrize(("model_type", "head"), [("gpt_neox", "embed_out"), ("helium", "lm_head"), ("bloom", None)])
def test_what_a_head_is_called_is_transformers_to_say(model_type, head, folder):
    """Pythia's folders call it `embed_out`; a model of transformers 5 calls it `lm_head` whatever it is saved as."""
    rows = len(load_file(folder / "model.safetensors")["model.embed_tokens.weight"])
    configuration = tiny(model_type).config
    configuration.vocab_size = rows
    AutoModelForCausalLM.from_config(configuration).save_pretrained(folder)
    preflight(folder, NODE)
    if head:
        weights = load_file(folder / "model.safetensors")
        del weights[f"{head}.weight"]
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        assert "the folder lacks lm_head.weight, so the model's head would be random" in problem(folder)


def test_another_weight_that_would_be_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "the folder lacks model.layers.0.mlp.up_proj.weight, which would be random" in problem(folder)


def test_a_name_that_is_not_known_is_no_reason_if_all_weights_are_there(folder):
    edit(folder / "config.json", architectures=["MyOwnModel"])
    preflight(folder, NODE)


def test_another_kind_of_model(folder):
    edit(folder / "config.json", architectures=["LlamaForSequenceClassification"])
    message = problem(folder)
    assert "holds LlamaForSequenceClassification, not a causal language model; its head would be random" in message


def test_unknown_model_type(folder):
    edit(folder / "config.json", model_type="nonesuch", architectures=[])
    assert problem(folder).startswith(
        "model.path=MINE: ValueError: The checkpoint you are trying to load has model type"
    )


def test_no_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "its tokenizer cannot be loaded" in problem(folder)


def test_what_the_chat_template_is_given(folder, caplog):
    node = NODE | {"chat_template_kwargs": {"enable_thinking": False}}
    assert problem(folder, **node).startswith(
        "model.chat_template_kwargs.enable_thinking=False: the chat template does not use"
    )
    template = folder / "chat_template.jinja"
    template.write_text("{{ strftime_now('%Y') if enable_thinking is defined }}" + template.read_text())
    with caplog.at_level("INFO"):
        preflight(folder, node | {"template_date": "2024-07-26"})
    assert caplog.messages == [
        "model.template_date=2024-07-26: the chat template writes the date, and takes this day for today"
    ]


def test_no_chat_template_and_the_remedy(folder, tmp_path):
    (folder / "chat_template.jinja").rename(tmp_path / "mine.jinja")
    assert "the tokenizer has no chat template; set model.chat_template=FILE" in problem(folder)
    preflight(folder, NODE | {"chat_template": str(tmp_path / "mine.jinja")})


def test_template_file_that_cannot_be_used(folder, tmp_path):
    assert problem(folder, chat_template="none.jinja").startswith("model.chat_template=none.jinja: cannot be read")
    (tmp_path / "mine.jinja").write_text("{% if %}")
    assert problem(folder, chat_template=str(tmp_path / "mine.jinja")).startswith("model.chat_template: line 1")


def test_tokenizer_larger_than_the_embedding(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<one more>"])
    tokenizer.save_pretrained(folder)
    assert "the tokenizer has ids up to 280, the embedding 280 rows" in problem(folder)


def test_no_pad_and_no_end_token(folder):
    edit(folder / "tokenizer_config.json", pad_token=None, eos_token=None)
    assert "neither a pad nor an end token" in problem(folder)


def test_attention_that_cannot_be_had(folder):
    assert "nonesuch" in problem(folder, attention="nonesuch")
