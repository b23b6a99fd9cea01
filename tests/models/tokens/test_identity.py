from dataclasses import replace

import pytest
from transformers import AutoTokenizer, ByT5Tokenizer

from apm_exp.models.load import load_tokenizer
from apm_exp.models.tokens.identity import tokenizer_digest
from tests.models.tokens.chat_tokenizers import CHATML, FAMILIES
from tests.thinking_policy import THINKING


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_copy_is_the_same_and_every_family_is_another(family, tmp_path):
    tokenizer = FAMILIES[family]()
    tokenizer.save_pretrained(tmp_path)
    digest = tokenizer_digest(AutoTokenizer.from_pretrained(tmp_path))
    assert digest == tokenizer_digest(tokenizer)
    assert [tokenizer_digest(other()) == digest for other in FAMILIES.values()].count(True) == 1


def test_how_it_was_called_changes_nothing(tiny_policy):
    tokenizer = load_tokenizer(tiny_policy)
    before = tokenizer_digest(tokenizer)
    tokenizer(["a", "a town"], padding=True, truncation=True, max_length=1)
    assert tokenizer_digest(tokenizer) == before


def test_the_template_in_force_a_new_token_and_another_end_are_other_tokenizers(tiny_policy):
    tokenizer = load_tokenizer(tiny_policy)
    digests = [tokenizer_digest(tokenizer)]
    other = replace(tiny_policy, chat_template=str(tokenizer.chat_template) + " ")
    digests.append(tokenizer_digest(load_tokenizer(other)))
    tokenizer.add_tokens(["zebra"])
    digests.append(tokenizer_digest(tokenizer))
    tokenizer.eos_token = "<sep>"
    digests.append(tokenizer_digest(tokenizer))
    assert len(set(digests)) == 4


def test_what_the_template_is_given_is_part_of_it(tiny_policy):
    policy = replace(tiny_policy, chat_template=THINKING)
    without = replace(policy, chat_template_kwargs={"enable_thinking": False})
    dated = replace(tiny_policy, chat_template="{{ strftime_now('%Y') }}", template_date="2026-01-01")
    policies = (policy, without, dated, replace(dated, template_date="2027-01-01"))
    assert len({tokenizer_digest(load_tokenizer(one)) for one in policies}) == 4


def test_a_tokenizer_without_a_backend_has_its_vocabulary():
    digests = []
    for ids in (2, 2, 3):
        tokenizer = ByT5Tokenizer(extra_ids=ids)
        tokenizer.chat_template = CHATML
        assert not hasattr(tokenizer, "backend_tokenizer")
        digests.append(tokenizer_digest(tokenizer))
    assert digests[0] == digests[1] != digests[2]
