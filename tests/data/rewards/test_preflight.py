import json

import pytest
from safetensors.torch import load_file, save_file

from apm_exp.data.rewards.preflight import check_classifier
from tests.data.rewards.reward_folder import reward_folder
from tests.models.tiny_folder import tiny_folder


def check(folder, trust_remote_code=False):
    check_classifier(str(folder), None, 256, trust_remote_code=trust_remote_code)


def problem(folder):
    with pytest.raises(ValueError, match=rf"^reward\.path={folder}: ") as error:
        check(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_good_folder(tmp_path):
    assert check(reward_folder(tmp_path / "model")) is None


def test_language_model_has_no_reward_head(tmp_path):
    folder = tiny_folder(tmp_path / "model")
    assert problem(folder).endswith(
        ": LlamaForCausalLM is a language model and no classifier, so it gives no rewards; give a reward model, "
        "a sequence classifier with one label"
    )


def test_head_that_transformers_does_not_know_would_be_random(tmp_path):
    folder = reward_folder(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["regression_layer.weight"] = weights.pop("score.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    random = "lacks score.weight, so the reward model's head would be random; "
    assert problem(folder).endswith(f"{random}use a sequence classifier")
    config = json.loads((folder / "config.json").read_text())
    own = {"auto_map": {"AutoModelForSequenceClassification": "modeling_custom.Model"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    assert problem(folder).endswith(f"{random}it has its own code: set reward.trust_remote_code=true, if you trust it")
    armorm = config | own | {"architectures": ["LlamaForRewardModelWithGating"]}
    (folder / "config.json").write_text(json.dumps(armorm))
    with pytest.raises(
        ValueError, match=r": LlamaForRewardModelWithGating is no plain classifier, .*; use reward=armorm$"
    ):
        check(folder, trust_remote_code=True)


def test_config_that_is_no_json(tmp_path):
    folder = reward_folder(tmp_path / "model")
    (folder / "config.json").write_text("{")
    assert "not a valid JSON file" in problem(folder)


def test_no_chat_template(tmp_path):
    folder = reward_folder(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    assert "no chat template" in problem(folder)


def test_nothing_there(tmp_path):
    assert "no such folder" in problem(tmp_path / "none")
    assert "no config.json" in problem(tmp_path)
    folder = reward_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    assert "no weights" in problem(folder)


def test_a_template_that_takes_no_response(tmp_path):
    folder = reward_folder(tmp_path / "model")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('never') }}")
    assert "its chat template does not accept a user's and an assistant's turn: " in problem(folder)


def test_a_model_that_takes_fewer_tokens_than_any_conversation(tmp_path):
    folder = reward_folder(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4}))
    # <|begin|> <|user|> a <|end|> <|assistant|> b <|end|>
    assert problem(folder).endswith(": accepts 4 tokens, but the shortest conversation has 7; use another")
