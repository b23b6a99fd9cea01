from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.types import Refusal, TokenizedPair
from apm_exp.models.tokens.simpo_2024 import _say_more, simpo_2024, split
from apm_exp.models.tokens.simpo_cut import cut
from tests.models.tokens.any_template import SHIPPED, tokenizer_for
from tests.models.tokens.chat_tokenizers import GEMMA2_SIMPO, PLAIN, chatml, gemma2, llama3, llama3_updated, plain

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def tokens(tokenizer, chosen="Paris.", rejected="Rome", prompt=QUESTION, insert_empty_system=True, **limits):
    limits = {"max_length": 2048, "max_prompt_length": 1800} | limits
    answers = [[{"role": "assistant", "content": text}] for text in (chosen, rejected)]
    return simpo_2024(
        tokenizer, [prompt], [answers[0]], [answers[1]], insert_empty_system=insert_empty_system, **limits
    )[0]


def pair_of(prompt, chosen, rejected):
    return TokenizedPair(list(range(prompt)), list(range(chosen)), list(range(rejected)))


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ((100, 1950, 300), (100, 248, 248)),  # the longer answer does not fit: both are cut to 2048 - 1800
        ((300, 1800, 200), (300, 248, 200)),
        ((100, 1900, 1900), (100, 1900, 1900)),  # fits: each pair of prompt and answer has 2000
        ((1900, 248, 100), (1800, 248, 100)),  # cutting the prompt is enough
        ((1900, 249, 100), (1800, 248, 100)),
        ((1900, 148, 100), (1900, 148, 100)),
        ((148, 1900, 1), (148, 1900, 1)),
        ((149, 1900, 1), (149, 248, 1)),
    ],
)
def test_cut(lengths, kept):
    whole, pair = pair_of(*lengths), cut(pair_of(*lengths), 2048, 1800)
    assert pair.cut_prompt == (kept[0] < lengths[0])
    assert pair.cut_responses == (kept[1] < lengths[1]) + (kept[2] < lengths[2])
    assert pair.prompt_ids == whole.prompt_ids[len(whole.prompt_ids) - kept[0] :]  # keep_end
    assert pair.chosen_ids == whole.chosen_ids[: kept[1]]
    assert pair.rejected_ids == whole.rejected_ids[: kept[2]]


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 60), st.integers(2, 40), st.data())
def test_cut_never_leaves_more_than_max_length(prompt, chosen, rejected, max_length, draw):
    pair = cut(pair_of(prompt, chosen, rejected), max_length, draw.draw(st.integers(1, max_length - 1)))
    assert len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids)) <= max_length
    assert pair.chosen_ids
    assert pair.rejected_ids


def test_split():
    assert split([1, 2, 3], [1, 2, 3, 4, 5]) == ([1, 2, 3], [4, 5])
    assert split([1, 2, 3], [1, 2, 9, 5]) == ([1, 2], [9, 5])  # 3 merged with the answer's start
    assert split([], [4]) == ([], [4])


def test_header_belongs_to_the_response_and_bos_to_the_prompt():
    tokenizer = llama3()
    pair = tokens(tokenizer)
    prompt = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of France?<|eot_id|>"
    header = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    assert tokenizer.decode(pair.prompt_ids) == prompt
    assert tokenizer.decode(pair.rejected_ids) == header + "Rome<|eot_id|><|end_of_text|>"  # EOS is another token


def test_no_second_eos_where_the_turn_ends_with_it():
    tokenizer = llama3_updated()
    assert tokenizer.decode(tokens(tokenizer).chosen_ids).endswith("Paris.<|eot_id|>")


def test_both_revisions_of_llama3_can_be_had_with_either():
    """The update made `<|eot_id|>` the tokenizer's EOS; text and other tokens are the same."""
    first, updated, old, new = llama3(), llama3_updated(), "<|end_of_text|>", "<|eot_id|>"

    def text(tokenizer, **settings):
        return tokenizer.decode(tokens(tokenizer, **settings).chosen_ids)

    assert text(updated, end_of_sequence=old) == text(first)
    assert text(first, end_of_sequence=new) == text(updated)
    with pytest.raises(ValueError, match=r"^tokens\.end_of_sequence=</s>: the tokenizer has no such token; null uses"):
        tokens(updated, end_of_sequence="</s>")


def test_gemma_always_gets_an_eos():
    tokenizer = gemma2(GEMMA2_SIMPO)
    pair = tokens(tokenizer)
    assert tokenizer.decode(pair.chosen_ids) == "<start_of_turn>model\nParis.<end_of_turn>\n<eos>"
    assert pair.prompt_ids.count(tokenizer.bos_token_id) == 1
    # the template knows system turns and trims the empty one away
    assert pair == tokens(tokenizer, insert_empty_system=False)


def test_empty_system_turn_where_the_template_is_chatml():
    tokenizer = chatml()
    question = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
    assert tokenizer.decode(tokens(tokenizer).prompt_ids) == "<|im_start|>system\n<|im_end|>\n" + question
    assert tokenizer.decode(tokens(tokenizer, insert_empty_system=False).prompt_ids) == question
    with_system = [{"role": "system", "content": "Be short."}, *QUESTION]
    assert tokenizer.decode(tokens(tokenizer, prompt=with_system).prompt_ids).startswith(
        "<|im_start|>system\nBe short."
    )
    assert tokenizer.decode(tokens(tokenizer).chosen_ids).endswith(
        "Paris.<|im_end|>\n<|im_end|>"
    )  # ends with a newline


@pytest.mark.parametrize(
    ("template", "knows"),
    [
        (PLAIN, False),  # any role is written alike
        ("{# no system turns #}" + PLAIN, False),  # a word in a comment
        (PLAIN.replace("m['role'] +", "('user' if m['role'] == 'system' else m['role']) +"), False),  # a user's turn
        ("{% if messages[0]['role'] != 'system' %}### system:\nHelp.\n\n{% endif %}" + PLAIN, True),
        (
            "{% if messages[0]['role'] not in ['system', 'user', 'assistant'] %}{{ raise_exception('') }}{% endif %}"
            + PLAIN,
            True,
        ),
    ],
)
def test_a_template_that_knows_system_turns_is_found_by_rendering(template, knows):
    tokenizer = copy(plain())
    tokenizer.chat_template = template
    pair = tokens(tokenizer)
    assert (pair != tokens(tokenizer, insert_empty_system=False)) == knows


def test_bos_is_put_first_where_the_template_writes_none(monkeypatch):
    monkeypatch.setattr(llama3(), "chat_template", PLAIN)
    pair = tokens(llama3(), insert_empty_system=False)
    assert llama3().decode(pair.prompt_ids) == "<|begin_of_text|>### user:\nWhat is the capital of France?\n\n"


def test_merge_at_the_boundary_moves_one_token_to_both_answers(monkeypatch):
    monkeypatch.setattr(plain(), "chat_template", "{% for m in messages %}{{ '\n' + m['content'] + '\n' }}{% endfor %}")
    pair = tokens(plain(), "1", "2", prompt=[{"role": "user", "content": "red"}])
    assert plain().decode(pair.prompt_ids) == "\nred"  # alone it is "\nred\n"
    assert plain().convert_ids_to_tokens(pair.chosen_ids) == ["ĊĊ", "1", "Ċ", "<|endoftext|>"]
    assert plain().convert_ids_to_tokens(pair.rejected_ids) == ["ĊĊ", "2", "Ċ", "<|endoftext|>"]


def test_one_answer_that_merges_is_refused(monkeypatch):
    template = "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'user' %}{{ '\n' }}{% endif %}{% endfor %}"
    monkeypatch.setattr(plain(), "chat_template", template)
    refusal = tokens(plain(), "\nred", "red", insert_empty_system=False)
    assert refusal.reason == "one response merges with the prompt"


def test_cut_pair_through_the_whole_profile():
    tokenizer = llama3()
    whole = tokens(tokenizer, "1" * 60, "2" * 9)
    pair = tokens(tokenizer, "1" * 60, "2" * 9, max_length=70, max_prompt_length=10)
    assert pair.prompt_ids == whole.prompt_ids[-10:]  # the BOS is lost
    assert pair.chosen_ids == whole.chosen_ids[:60]
    assert pair.rejected_ids == whole.rejected_ids


def test_refuses_a_conversation_that_the_template_does_not_take(monkeypatch):
    refuse = "{% if messages | length == 2 %}{{ raise_exception('two turns') }}{% endif %}"
    monkeypatch.setattr(plain(), "chat_template", refuse + PLAIN)
    refusal = tokens(plain(), prompt=[*QUESTION, *QUESTION], insert_empty_system=False)
    assert refusal == Refusal("the chat template does not take the conversation", "two turns")


def test_template_that_takes_no_answer_alone_is_an_error():
    with pytest.raises(
        ValueError, match=r"tokens=simpo_2024: .*\(Conversation roles must alternate\).*tokens=per_response"
    ):
        tokens(gemma2())


def test_prompt_limit_must_leave_room():
    with pytest.raises(ValueError, match=r"tokens\.max_prompt_length=2048: .*tokens\.max_length=2048"):
        tokens(llama3(), max_prompt_length=2048)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        (
            "qwen2_5",
            "<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>",
        ),
        ("llama3_1", "<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date"),
        ("llama3", None),
        ("gemma4", None),
        ("qwen3", None),
        ("glm4moe", "[gMASK]<sop><|assistant|>"),
    ],
)
def test_what_the_template_writes_before_a_response_alone_is_said_once(name, more, caplog):
    tokenizer = tokenizer_for(SHIPPED[name].read_text())
    _say_more.cache_clear()
    pair, again = tokens(tokenizer), tokens(tokenizer)
    assert pair == again
    assert [more in record.getMessage() for record in caplog.records] == ([True] if more else [])
