"""Which tokens are a follow-up's, of tokenizers that treat its header and its end differently."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from apm_exp.data.rewards.flr_scores import before_released
from apm_exp.data.rewards.flr_tokens import follow_up_tokens

WORDS = ["<s>", "</s>", "<unk>", "[INST]", "[/INST]", "▁", "▁a", "▁b", "b", "▁Thank", "▁you", "Thank", "a", "\n", "[A]"]


def word_pieces(template, bos):
    """A tokenizer with a space before each word, as SentencePiece has, that adds BOS to a text or nothing."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[INST]", "[/INST]", "[A]"]})
    tokenizer.chat_template = template
    return tokenizer


MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)
CHAT = "{{ bos_token }}{% for m in messages %}[A]{{ m['content'] }}</s>{% endfor %}"


def words(tokenizer, rows):
    return [tokenizer.convert_ids_to_tokens(ids) for ids in rows]


def test_white_space_of_the_header_that_a_word_takes_in_belongs_to_the_follow_up():
    """`[INST] Thank`: the header alone ends with the token of a space, which is a part of the first word."""
    tokenizer = word_pieces(MISTRAL, bos=True)
    tokens = follow_up_tokens(tokenizer, "base", ["Thank you", "a b"], "reward.path=x")
    assert words(tokenizer, tokens.ids) == [["▁Thank", "▁you"], ["▁a", "▁b"]]
    assert tokens.merged == 1
    assert [ends[-1:] for ends in words(tokenizer, tokens.ends)] == [["[/INST]"]] * 2


@pytest.mark.parametrize(
    ("bos", "read"),
    [
        (
            True,
            [["Thank"], ["a"]],
        ),  # BOS + 2 tokens: of 3 last positions the first is that of the follow-up's first token
        (False, [["Thank", "▁you"], ["a", "▁b"]]),  # 2 tokens: of the last 2 positions, the first is its last token
    ],
)
def test_the_position_that_the_release_reads(bos, read):
    tokenizer = word_pieces(CHAT, bos)
    texts = ["Thank you", "a b"]
    tokens = follow_up_tokens(tokenizer, "base", texts, "reward.path=x")
    targets = [tokenizer(text)["input_ids"] for text in texts]
    assert [len(each) for each in targets] == [2 + bos] * 2
    assert words(tokenizer, before_released(tokens, targets)) == read
