import json
import shutil
from dataclasses import replace

import pytest
import torch

from apm_exp.core.types import Refusal
from apm_exp.data.generate.samples import Samples, by_prompt
from apm_exp.data.generate.transformers_sampler import sample_responses
from apm_exp.data.worlds.micro_world.splits import draw_tasks
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.tokens.per_response import per_response
from tests.forward_models import plain
from tests.micro_world_policy import RUNTIME, SAMPLING

TASKS = [task.prompt for task in draw_tasks("preferences", 10, 0)]
PROMPTS = [[{"role": "user", "content": task}] for task in TASKS]
BATCH = SAMPLING | {"batch_size": 30}  # all at once


def drawn(policy, prompts=PROMPTS, wanted=None, **changes):
    """Each response by its prompt's index and its number; without `wanted` all of them."""
    settings = SAMPLING | changes
    wanted = wanted or {index: range(settings["samples"]) for index in range(len(prompts))}
    each = list(sample_responses(policy, prompts, RUNTIME, wanted, **settings))
    assert len(each) == sum(map(len, wanted.values()))
    return {(index, number): one for index, number, one in each}


def sampled(policy, prompts=PROMPTS, **changes):
    return by_prompt((*place, one) for place, one in drawn(policy, prompts, **changes).items())


def test_the_same_seed_gives_the_same_responses_and_leaves_torchs_random_state(micro_policy):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = sampled(micro_policy), sampled(micro_policy), sampled(micro_policy, seed=1)
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)
    assert sorted(first) == list(range(10))
    assert all(len(one.texts) == len(one.finished) == len(one.lengths) == 3 for one in first.values())


def test_responses_to_a_prompt_differ(micro_policy):
    assert len({text for one in sampled(micro_policy).values() for text in one.texts}) > 10


def test_a_response_depends_on_its_prompt_and_its_number_and_not_on_what_is_drawn_beside_it(micro_policy):
    five = tokens(drawn(micro_policy, samples=5))
    first = tokens(drawn(micro_policy))
    assert len(set(five.values())) > 20
    assert first == {place: ids for place, ids in five.items() if place[1] < 3}
    more = tokens(drawn(micro_policy, wanted={index: [3, 4] for index in range(10)}, samples=5))
    assert first | more == five
    last = tokens(drawn(micro_policy, PROMPTS[7:], samples=5))
    assert last == {(index - 7, number): ids for (index, number), ids in five.items() if index >= 7}
    for batch_size in (1, 4, 50):
        assert tokens(drawn(micro_policy, batch_size=batch_size)) == first


def tokens(responses):
    """Log-probs differ by rounding from batch to batch."""
    return {place: tuple(one.ids) for place, one in responses.items()}


def test_nothing_is_loaded_if_nothing_is_wanted(micro_policy):
    gone = replace(micro_policy, folder=micro_policy.folder / "gone")
    assert list(sample_responses(gone, PROMPTS, RUNTIME, {}, **SAMPLING)) == []


def test_fewer_tokens_are_the_beginning_of_more(micro_policy):
    whole, short = drawn(micro_policy), drawn(micro_policy, max_new_tokens=5)
    assert {place: ids[:5] for place, ids in tokens(whole).items()} == tokens(short)


def test_a_response_is_there_as_soon_as_it_has_ended(micro_policy):
    """And so a kill costs those that were not."""
    wanted = {index: range(3) for index in range(10)}
    lengths = [one.length for _, _, one in sample_responses(micro_policy, PROMPTS, RUNTIME, wanted, **BATCH)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def greedy(policy, prompt, most):
    """The likeliest response, one token at a time, without padding, batch or cache."""
    model, tokenizer = load_model(policy, "cpu"), load_tokenizer(policy)
    text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start = len(ids)
    while len(ids) - start < most and (len(ids) == start or ids[-1] != tokenizer.eos_token_id):
        ids.append(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item())
    finished = ids[-1] == tokenizer.eos_token_id
    return ids[start:], tokenizer.decode(ids[start : len(ids) - finished]), finished


def test_cold_samples_are_the_greedy_answers_whatever_the_padding(micro_policy):
    cold = sampled(micro_policy, temperature=1e-4, samples=2, batch_size=20, max_new_tokens=8)
    for index, prompt in enumerate(PROMPTS):
        ids, text, finished = greedy(micro_policy, prompt, 8)
        one = cold[index]
        assert (one.texts, one.finished, one.lengths) == ([text] * 2, [finished] * 2, [len(ids)] * 2)
        assert [*map(list, one.ids)] == [ids] * 2


def test_whole_numbers_are_temperatures_and_shares_too(micro_policy):
    few = {"samples": 2, "max_new_tokens": 4}
    assert sampled(micro_policy, temperature=1, top_p=1, **few) == sampled(
        micro_policy, temperature=1.0, top_p=1.0, **few
    )


def test_log_probs_are_those_of_the_sampled_tokens_at_temperature_1_without_top_p(micro_policy):
    responses, model = sampled(micro_policy, temperature=0.5, top_p=0.6), load_model(micro_policy, "cpu")
    tokenizer = load_tokenizer(micro_policy)
    for index, prompt in enumerate(PROMPTS):
        text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        one = responses[index]
        assert list(one.prompt_ids) == tokenizer(text, add_special_tokens=False)["input_ids"]
        for ids, finished, length, logp in zip(one.ids, one.finished, one.lengths, one.logps, strict=True):
            assert (len(ids), ids[-1] == tokenizer.eos_token_id) == (length, finished)
            assert logp == pytest.approx(plain(model, list(one.prompt_ids), list(ids)).item(), abs=1e-4)


def test_lengths_count_the_end_token_and_cut_off_responses_have_none(micro_policy):
    responses = sampled(micro_policy, max_new_tokens=5)
    both = {flag for one in responses.values() for flag in one.finished}
    assert both == {True, False}
    for one in responses.values():
        for text, finished, length in zip(one.texts, one.finished, one.lengths, strict=True):
            assert length <= 5 if finished else length == 5
            assert len(text.split()) == length - finished
            assert "<eos>" not in text


def test_the_models_own_sampling_settings_are_not_used_but_its_end_tokens_are(micro_policy, tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(micro_policy.folder, folder)
    own = {"eos_token_id": [2], "do_sample": True, "top_k": 1, "repetition_penalty": 9.0, "max_new_tokens": 1}
    (folder / "generation_config.json").write_text(json.dumps(own))
    assert sampled(replace(micro_policy, folder=folder)) == sampled(micro_policy)
    tokenizer = load_tokenizer(micro_policy)
    stop = tokenizer.convert_tokens_to_ids("answer")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, stop]}))
    texts = [text for one in sampled(replace(micro_policy, folder=folder)).values() for text in one.texts]
    assert all("answer" not in text.split() for text in texts)


def test_a_prompt_that_leaves_no_room_is_refused(micro_policy):
    long = [{"role": "user", "content": "a " * 250}]
    responses = sampled(micro_policy, [PROMPTS[0], long])
    assert responses[1] == Refusal("prompt too long", "252 tokens and 12 new ones; the model accepts 256")
    assert isinstance(responses[0], Samples)


def test_a_prompt_that_spells_out_a_control_token_is_refused(micro_policy):
    prompts = [[{"role": "user", "content": text}] for text in ("sort <sep> two", "sort two one")]
    responses = sampled(micro_policy, prompts)
    assert responses[0] == Refusal("a message contains a control token", "<sep> in the user's turn")
    assert isinstance(responses[1], Samples)


def test_or_it_is_read_as_text_as_where_it_is_scored(micro_policy):
    prompts = [[{"role": "user", "content": "copy : a <eos> b"}]]
    tokenizer, texts = load_tokenizer(micro_policy), ([[{"role": "assistant", "content": text}]] for text in "ab")
    limits = {"max_length": 100, "max_prompt_length": 50}
    scored = per_response(tokenizer, prompts, *texts, **limits, control_tokens="text")[0]
    responses = sampled(micro_policy, prompts, control_tokens="text")
    assert list(responses[0].prompt_ids) == scored.prompt_ids
    assert tokenizer.eos_token_id not in scored.prompt_ids


def test_a_prompt_that_the_template_does_not_take_is_refused(micro_policy):
    template = "{% if messages[0]['content'] == 'no' %}{{ raise_exception('not this') }}{% endif %}" + str(
        load_tokenizer(micro_policy).chat_template
    )
    prompts = [[{"role": "user", "content": "no"}], PROMPTS[0]]
    responses = sampled(replace(micro_policy, chat_template=template), prompts)
    assert responses[0] == Refusal("the chat template does not take the conversation", "not this")
    assert isinstance(responses[1], Samples)


def test_running_out_of_memory_names_the_setting(micro_policy, monkeypatch):
    def forward(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("transformers.LlamaForCausalLM.forward", forward)
    with pytest.raises(ValueError, match=r"^batch_size=9: out of memory while sampling; use a smaller one$"):
        sampled(micro_policy)
