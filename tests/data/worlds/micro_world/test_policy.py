import pytest
import torch

from apm_exp.data.worlds.micro_world.instructions import VOCABULARY
from apm_exp.data.worlds.micro_world.policy import demonstrations, sft_policy
from apm_exp.data.worlds.micro_world.splits import purpose_of
from apm_exp.data.worlds.micro_world.true_reward import true_reward
from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer
from apm_exp.models.load import load_model, load_tokenizer
from tests.micro_world_policy import SMALL, small_policy

FEW_STEPS = SMALL | {"steps": 3, "batch": 8}


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for name, changes in (("one", {}), ("again", {}), ("other", {"seed": 1})):
        (tmp_path / name).mkdir()
        sft_policy(tmp_path / name, **FEW_STEPS | changes)
    assert weights(tmp_path / "one") == weights(tmp_path / "again") != weights(tmp_path / "other")
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_an_ordinary_folder_that_has_learned_something(tmp_path):
    policy = small_policy(tmp_path)
    model, tokenizer = load_model(policy, "cpu"), load_tokenizer(policy)
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.tie_word_embeddings
    assert model.dtype == torch.float32
    losses = []
    for one in demonstrations(tokenizer, 50, 5):
        labels = [-100] * one.answer_start + one.ids[one.answer_start :]
        losses.append(model(input_ids=torch.tensor([one.ids]), labels=torch.tensor([labels])).loss.item())
    assert sum(losses) / len(losses) < 2.5  # the logarithm of 40 words is 3.69


def test_demonstrations_are_what_the_chat_template_writes():
    tokenizer = word_tokenizer(VOCABULARY, 256)
    for one in demonstrations(tokenizer, 20, 3):
        prompt = tokenizer.decode(one.ids[1 : one.answer_start - 1])
        answer = tokenizer.decode(one.ids[one.answer_start : -1])
        assert purpose_of(prompt) == "demonstrations"
        assert true_reward(prompt, answer) >= -0.1
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == one.ids
        start = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        assert len(tokenizer(start, add_special_tokens=False)["input_ids"]) == one.answer_start


def test_a_width_that_the_heads_do_not_divide_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^model\.hidden=30: not a multiple of 2 \* model\.heads=4; set a multiple$"):
        sft_policy(tmp_path, **FEW_STEPS | {"hidden": 30})
    assert list(tmp_path.iterdir()) == []
