from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apm_exp.core.types import Refusal
from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.turn_end import turn_end
from tests.models.tokens.chat_tokenizers import FAMILIES, PLAIN, chatml, gemma2, llama3, mistral, plain

QUESTION = "What is the capital of France?"
ENDS = {"llama3": "<|eot_id|>", "llama3_updated": "<|eot_id|>", "gemma2": "<end_of_turn>", "chatml": "<|im_end|>"}
ENDS["mistral"] = "</s>"
FAMILY = pytest.mark.parametrize("family", FAMILIES)


def user(text):
    return [{"role": "user", "content": text}]


def answer(text):
    return [{"role": "assistant", "content": text}]


def tokens(tokenizer, prompt, chosen, rejected, max_length=2048, max_prompt_length=1800):
    limits = {"max_length": max_length, "max_prompt_length": max_prompt_length}
    return per_response(tokenizer, [prompt], [answer(chosen)], [answer(rejected)], **limits)[0]


@FAMILY
def test_prompt_is_what_generation_sees(family):
    tokenizer = FAMILIES[family]()
    pair = tokens(tokenizer, user(QUESTION), "Paris.", "Rome")
    seen = tokenizer.apply_chat_template(user(QUESTION), add_generation_prompt=True, return_dict=False)
    assert pair.prompt_ids == seen


@FAMILY
def test_answers_are_their_text_and_one_end_token(family):
    tokenizer = FAMILIES[family]()
    pair = tokens(tokenizer, user(QUESTION), "The capital is Paris.", "Rome")
    end = tokenizer.convert_tokens_to_ids(ENDS[family])
    assert tokenizer.decode(pair.chosen_ids).strip() == "The capital is Paris." + ENDS[family]
    assert tokenizer.decode(pair.rejected_ids).strip() == "Rome" + ENDS[family]
    for ids in (pair.chosen_ids, pair.rejected_ids):
        assert ids[-1] == end
        assert ids.count(end) == 1


@FAMILY
@pytest.mark.parametrize("max_prompt_length", [1800, 7])
def test_one_bos_where_the_template_has_one_also_in_a_cut_prompt(family, max_prompt_length):
    tokenizer = FAMILIES[family]()
    pair = tokens(tokenizer, user(QUESTION * 3), "Paris.", "Rome", max_prompt_length=max_prompt_length)
    expected = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    assert pair.prompt_ids[:1] == expected or not expected
    everything = pair.prompt_ids + pair.chosen_ids + pair.rejected_ids
    assert [id for id in everything if id == tokenizer.bos_token_id] == expected


def test_gemma_by_hand():
    pair = tokens(gemma2(), user("red"), "1", "2 3")
    pieces = [gemma2().convert_ids_to_tokens(ids) for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)]
    assert pieces[0][:2] == ["<bos>", "<start_of_turn>"]
    assert pieces[0][-1] == "Ċ"
    assert pieces[1:] == [["1", "<end_of_turn>"], ["2", "Ġ", "3", "<end_of_turn>"]]


def test_multi_turn_with_a_system_turn():
    turns = [{"role": "system", "content": "Be short."}, *user("Hello"), *answer("Hello!"), *user(QUESTION)]
    pair = tokens(chatml(), turns, "Paris.", "Rome")
    written = chatml().decode(pair.prompt_ids)
    assert written.startswith("<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n")
    assert written.endswith("<|im_start|>assistant\n")


def test_template_without_end_token_gets_the_tokenizers():
    pair = tokens(plain(), user(QUESTION), "Paris.", "Rome")
    assert plain().decode(pair.chosen_ids) == "Paris.\n\n<|endoftext|>"
    assert plain().decode(pair.prompt_ids) == f"### user:\n{QUESTION}\n\n### assistant:\n"


def test_answer_that_merges_with_the_header_keeps_the_prompt():
    tokenizer = chatml()  # its header ends with a newline, and newlines merge
    pair = tokens(tokenizer, user(QUESTION), "\n\nParis.", "Rome")
    assert pair.prompt_ids == tokens(tokenizer, user(QUESTION), "Paris.", "Rome").prompt_ids
    assert tokenizer.decode(pair.chosen_ids) == "\n\nParis.<|im_end|>"


def test_space_before_the_first_word_belongs_to_the_answer_once():
    pair = tokens(mistral(), user(QUESTION), "Paris.", "Rome")
    assert mistral().convert_ids_to_tokens(pair.chosen_ids)[0].startswith("▁P")


def test_prompt_keeps_its_end_and_each_answer_its_own_budget():
    tokenizer = plain()  # no BOS
    whole = tokens(tokenizer, user(QUESTION * 2), "1 2 3 4 5 6 7 8", "1")
    pair = tokens(tokenizer, user(QUESTION * 2), "1 2 3 4 5 6 7 8", "1", max_length=17, max_prompt_length=10)
    assert pair.prompt_ids == whole.prompt_ids[-10:]
    assert pair.chosen_ids == whole.chosen_ids[:7]  # cut: without its end token
    assert pair.rejected_ids == whole.rejected_ids  # shorter than its budget: untouched


def test_short_prompt_leaves_more_to_the_answers():
    whole = tokens(plain(), user("red"), "1" * 300, "2" * 300)
    limits = {"max_length": 100, "max_prompt_length": 90}
    pair = tokens(plain(), user("red"), "1" * 300, "2" * 300, **limits)
    assert pair.prompt_ids == whole.prompt_ids
    assert len(pair.chosen_ids) == 100 - len(whole.prompt_ids)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.text("ab \n", max_size=60), st.text("ab \n", max_size=60))
def test_limits_hold_and_nothing_is_empty(max_length, max_prompt_length, first, second):
    pair = tokens(llama3(), user("Write " + first), "a" + first, "b" + second, max_length, max_prompt_length)
    if isinstance(pair, Refusal):
        assert pair.reason in ("response left without budget", "responses have the same tokens")
        return
    assert 1 <= len(pair.prompt_ids) <= max_prompt_length
    assert pair.prompt_ids[0] == llama3().bos_token_id
    for ids in (pair.chosen_ids, pair.rejected_ids):
        assert 1 <= len(ids) <= max_length - len(pair.prompt_ids)


def test_refuses_an_answer_without_budget():
    refusal = tokens(llama3(), user(QUESTION), "Paris.", "Rome", max_length=8, max_prompt_length=8)
    assert refusal.reason == "response left without budget"
    assert "tokens.max_prompt_length" in refusal.detail


def test_refuses_answers_that_are_equal_once_cut():
    refusal = tokens(plain(), user("red"), "1 2 3 4", "1 2 3 5", max_length=24, max_prompt_length=20)
    assert refusal.reason == "responses have the same tokens"


def test_refuses_an_answer_of_which_the_template_leaves_nothing():
    assert tokens(llama3(), user(QUESTION), " \n ", "Rome") == Refusal(
        "empty response", "the chat template leaves nothing of the response's text"
    )


@pytest.mark.parametrize(
    ("prompt", "chosen", "detail"),
    [
        ("what is <s>?", "an HTML tag", "<s> in the user's turn"),
        ("red", "blue</s>green", "</s> in the assistant's turn"),
    ],
)
def test_refuses_a_message_that_spells_out_a_control_token(prompt, chosen, detail):
    assert tokens(mistral(), user(prompt), chosen, "Rome") == Refusal("a message contains a control token", detail)


def test_refuses_a_conversation_that_the_template_does_not_take_and_goes_on():
    with_system = [{"role": "system", "content": "Be short."}, *user(QUESTION)]
    prompts, answers = [with_system, user(QUESTION)], [answer("Paris."), answer("Paris.")]
    limits = {"max_length": 2048, "max_prompt_length": 1800}
    refusal, pair = per_response(gemma2(), prompts, answers, [answer("Rome"), answer("Rome")], **limits)
    assert refusal == Refusal("the chat template does not take the conversation", "System role not supported")
    assert pair == tokens(gemma2(), user(QUESTION), "Paris.", "Rome")


def test_prompt_that_changes_when_an_answer_follows_is_taken_and_told(monkeypatch):
    template = PLAIN.replace("### assistant:\n' }}{% endif", "### assistant:\n<think>\n' }}{% endif")
    monkeypatch.setattr(plain(), "chat_template", template)
    pair = tokens(plain(), user(QUESTION), "Paris.", "Rome")
    assert plain().decode(pair.prompt_ids) == f"### user:\n{QUESTION}\n\n### assistant:\n<think>\n"
    assert plain().decode(pair.chosen_ids) == "Paris.\n\n<|endoftext|>"
    assert "<think>\\nParis.\\n\\n', but the template writes '" in pair.differs
    assert pair.differs.endswith("### assistant:\\nParis.\\n\\n'")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template; set model.chat_template=FILE"),
        ("", "the template is empty; set another FILE"),
        ("{% if %}", "line 1: "),
        ("{{ messages[0]['content'] }}", "does not show the assistant's text"),
        ("{{ raise_exception('never') }}", "rejects a user and an assistant turn: never"),
    ],
)
def test_no_usable_template_is_an_error(monkeypatch, template, message):
    monkeypatch.setattr(plain(), "chat_template", template)
    with pytest.raises(ValueError, match=message) as error:
        tokens(plain(), user(QUESTION), "Paris.", "Rome")
    assert "\n" not in str(error.value)


def test_no_end_token_anywhere_is_an_error():
    tokenizer = deepcopy(plain())
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="has an end token for a response"):
        turn_end(tokenizer)


def test_empty_batch():
    assert per_response(llama3(), [], [], [], max_length=2048, max_prompt_length=1800) == []
