import pytest

from apm_exp.core.types import TokenizedPair
from apm_exp.data.worlds.micro_world.instructions import VOCABULARY
from apm_exp.data.worlds.micro_world.word_tokenizer import word_tokenizer
from apm_exp.models.tokens.per_response import per_response

TURNS = [{"role": "user", "content": "copy : a b c"}, {"role": "assistant", "content": "answer : a b c ."}]


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(VOCABULARY, 256)


def test_every_word_is_one_token_and_comes_back(tokenizer):
    for word in VOCABULARY:
        assert len(tokenizer.encode(word)) == 1
        assert tokenizer.decode(tokenizer.encode(word)) == word
    text = " ".join(VOCABULARY)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == len(VOCABULARY) + 5


def test_it_is_the_same_after_a_round_trip_through_a_folder(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.apply_chat_template(TURNS, tokenize=False) == tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.decode(again.encode("a b .")) == "a b ."
    assert (again.bos_token, again.eos_token, again.pad_token) == ("<bos>", "<eos>", "<pad>")


def test_template_writes_one_start_and_one_end_token(tokenizer):
    text = tokenizer.apply_chat_template(TURNS, tokenize=False)
    assert text == "<bos>copy : a b c<sep>answer : a b c .<eos>"
    prompt = tokenizer.apply_chat_template(TURNS[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<bos>copy : a b c<sep>"
    longer = tokenizer.apply_chat_template(TURNS * 2, tokenize=False)
    assert longer.count("<bos>") == 1
    assert longer.count("<eos>") == longer.count("<sep>") == 2


def test_a_pair_becomes_the_tokens_that_one_expects(tokenizer):
    prompts, answers = [TURNS[:1]], [TURNS[1:]]
    other = [[{"role": "assistant", "content": "b"}]]
    (pair,) = per_response(tokenizer, prompts, answers, other, max_length=64, max_prompt_length=32)
    words = "<bos> copy : a b c <sep>", "answer : a b c . <eos>", "b <eos>"
    assert pair == TokenizedPair(*(tokenizer.convert_tokens_to_ids(text.split()) for text in words))


def test_other_words_are_unknown(tokenizer):
    assert tokenizer.encode("zebra a") == [tokenizer.unk_token_id, tokenizer.convert_tokens_to_ids("a")]
