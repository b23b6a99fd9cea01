import json
import shutil
from dataclasses import replace

import pytest
from transformers import GenerationConfig

from apm_exp.models.load import load_tokenizer
from apm_exp.models.tokens.identity import tokenizer_digest
from apm_exp.training.finish import finish_folder, new_folder

ENDS_WITH_SEP = (  # of the word tokenizer, whose own end token is <eos>
    "{% for m in messages %}{{ bos_token + m['content'] + '<sep>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ bos_token }}{% endif %}"
)


@pytest.fixture
def finished(tiny_policy, tmp_path):
    """Finish a folder that holds the starting policy's files, with these changes to its generation configuration."""

    def finish(policy, **changes):
        partial = new_folder(tmp_path / "final")
        shutil.copytree(policy.folder, partial)
        path = partial / "generation_config.json"
        before = json.loads(path.read_text())
        path.write_text(json.dumps(before | changes))
        finish_folder(tmp_path / "final", policy)
        return before | changes, json.loads((tmp_path / "final" / "generation_config.json").read_text())

    return finish


def test_a_policy_that_is_trained_with_its_own_end_token_stays_as_it_is(tiny_policy, finished):
    before, after = finished(tiny_policy)
    assert after == before
    assert after["eos_token_id"] == load_tokenizer(tiny_policy).eos_token_id


def test_the_end_token_of_the_chat_template_is_added(tiny_policy, finished, tmp_path):
    policy = replace(tiny_policy, chat_template=ENDS_WITH_SEP)
    before, after = finished(policy, eos_token_id=[2, 7], do_sample=False, temperature=0.6)  # as Llama-2's: not valid
    sep = load_tokenizer(policy).convert_tokens_to_ids("<sep>")
    assert after == before | {"eos_token_id": sorted([2, 7, sep])}
    assert GenerationConfig.from_pretrained(tmp_path / "final").eos_token_id == sorted([2, 7, sep])
    trained = load_tokenizer(replace(policy, folder=tmp_path / "final", chat_template=None))
    assert trained.chat_template == ENDS_WITH_SEP
    assert tokenizer_digest(trained) == tokenizer_digest(load_tokenizer(policy))  # takes what the other one sampled


def test_a_model_without_a_generation_configuration_gets_one(tiny_policy, tmp_path):
    partial = new_folder(tmp_path / "final")
    shutil.copytree(tiny_policy.folder, partial)
    (partial / "generation_config.json").unlink()
    finish_folder(tmp_path / "final", tiny_policy)
    config = GenerationConfig.from_pretrained(tmp_path / "final")
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 0)


def test_an_adapter_alone_gets_none(tiny_policy, tmp_path):
    partial = new_folder(tmp_path / "adapter")
    partial.mkdir()
    (partial / "adapter_config.json").write_text("{}")
    finish_folder(tmp_path / "adapter", tiny_policy)
    assert not (tmp_path / "adapter" / "generation_config.json").exists()
