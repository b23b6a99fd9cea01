"""Texts far longer than what is kept of their tokens give the same tokens without their middle, by every tokenizer."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordLevel
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordLevelTrainer
from transformers import PreTrainedTokenizerFast

from apm_exp.core.types import Refusal, TokenizedPair
from apm_exp.models.tokens import shorten
from apm_exp.models.tokens.at_once import at_once
from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.simpo_2024 import simpo_2024

WORDS = [
    "alpha",
    "river",
    "the",
    "of",
    "Straße",
    "naïve",
    "12345",
    "x",
    "don't",
    "日本語",
    "—",
    "a.b",
    "QUEUE",
    "é",
    "no",
]
GAPS = [" "] * 12 + ["  ", "\n", "\n\n", "\t", ", "]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}<h>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant<h>{% endif %}"
)
SPECIAL = ["<unk>", "<s>", "</s>", "<h>"]


def written(seed: int, words: int) -> str:
    draw = random.Random(seed)
    return "".join(draw.choice(WORDS) + draw.choice(GAPS) for _ in range(words))


def byte_level() -> Tokenizer:
    made = Tokenizer(BPE(unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [written(0, 500)], BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return made


def whole_text() -> Tokenizer:
    """As Llama-2's and Gemma's: no pre-tokenizer, so that merges may reach anywhere."""
    made = Tokenizer(BPE(unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    made.train_from_iterator([written(0, 500)], BpeTrainer(vocab_size=300, special_tokens=SPECIAL))
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(Unigram())
    made.normalizer, made.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace(split=False)
    made.decoder = decoders.Metaspace()
    lines = [line for seed in range(40) for line in written(seed, 30).splitlines()]
    made.train_from_iterator(lines, UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>"))
    return made


def words() -> Tokenizer:
    made = Tokenizer(WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator([written(0, 500)], WordLevelTrainer(vocab_size=60, special_tokens=SPECIAL))
    return made


def across() -> Tokenizer:
    """With tokens of several words, which may lie across any place."""
    made = Tokenizer(BPE(unk_token="<unk>"))
    made.train_from_iterator([written(0, 300)], BpeTrainer(vocab_size=400, special_tokens=SPECIAL))
    return made


def loaded(make: Callable[[], Tokenizer]) -> PreTrainedTokenizerFast:
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=make(), additional_special_tokens=["<h>"], **special)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def turn(role: str, text: str) -> list[Any]:
    return [{"role": role, "content": text}]


def rows() -> tuple[list[Any], list[Any], list[Any]]:
    """A long prompt, long responses, one long response, all long; and one that is not."""
    lengths = [(4000, 5, 6), (5, 4000, 3000), (9, 4000, 5), (3000, 3500, 4000), (20, 8, 9)]
    prompts, chosen, rejected = (
        [turn(role, written(10 * row + column, sizes[column])) for row, sizes in enumerate(lengths)]
        for column, role in enumerate(("user", "assistant", "assistant"))
    )
    return prompts, chosen, rejected


PROFILES: list[Callable[..., list[TokenizedPair | Refusal]]] = [
    lambda tokenizer, *texts: per_response(tokenizer, *texts, max_length=50, max_prompt_length=30),
    lambda tokenizer, *texts: simpo_2024(
        tokenizer, *texts, max_length=50, max_prompt_length=30, insert_empty_system=False
    ),
]


@pytest.mark.parametrize("profile", PROFILES, ids=["per_response", "simpo_2024"])
@pytest.mark.parametrize("make", [byte_level, whole_text, unigram, words, across])
def test_the_tokens_are_those_of_the_whole_texts(
    make: Callable[[], Tokenizer], profile: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, texts = loaded(make), rows()
    short = profile(tokenizer, *texts)
    monkeypatch.setattr(shorten, "_TIMES", 10**9)
    whole = profile(tokenizer, *texts)
    assert short == whole
    assert all(isinstance(pair, TokenizedPair) for pair in whole)
    assert whole[0].cut_prompt
    assert whole[1].cut_responses == 2


@pytest.mark.parametrize(("make", "shorter"), [(byte_level, True), (whole_text, True), (across, False)])
def test_a_text_loses_its_middle_where_no_token_can_lie_across(make: Callable[[], Tokenizer], shorter: bool) -> None:
    text = written(3, 10_000)
    (short,) = shorten.shortened(loaded(make), [text], 50)
    assert (len(short) < 6000) == shorter
    assert text.startswith(short[:1500])
    assert text.endswith(short[-1500:])


def test_a_text_of_megabytes_in_one_piece_is_refused_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shorten, "LONGEST", 20_000)
    tokenizer = loaded(byte_level)
    prompts, chosen, rejected = rows()
    prompts[1] = turn("user", "日本語" * 10_000)
    rejected[2] = turn("assistant", "x" * 30_000)
    found = PROFILES[0](tokenizer, prompts, chosen, rejected)
    reason = "text too long to be tokenized"
    assert [isinstance(pair, Refusal) and pair.reason for pair in found] == [False, reason, reason, False, False]
    assert found[1].detail.startswith("30,0")  # type: ignore[union-attr]


def test_a_tokenizer_is_given_so_many_characters_at_once() -> None:
    texts = ["a" * 3_000_000, "b" * 2_000_000, "c", "d" * 9_000_000, *["e"] * 1001]
    assert [len(part) for part in at_once(texts)] == [1, 2, 1, 1000, 1]
    assert [text for part in at_once(texts) for text in part] == texts
