"""The input of PairRM for a prompt and two of its responses: texts in the form of its training, and their tokens."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from apm_exp.core.messages import fields_of, read_messages, read_responses, read_tools, text_of
from apm_exp.core.types import Message, Refusal
from apm_exp.models.tokens.control import as_text
from apm_exp.models.tokens.render import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
# PairRM's own words for conversations of several turns, with their spelling
_SEVERAL_TURNS = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."


class Texts(NamedTuple):
    """The source of a row, and its candidates."""

    source: str
    candidates: list[str]


class Lengths(NamedTuple):
    """The most tokens of a source, and those of a source with two candidates."""

    source: int
    whole: int


def texts_of(row: Mapping[str, Any]) -> Texts | Refusal:
    """Return the texts of a row: a prompt of one turn as it is, of several turns in PairRM's form of a conversation.

    A system message is put before it, as PairRM's instruction. Refused: turns that do not alternate, and what is no
    text.
    """
    prompt, responses = read_messages(row["prompt"]), read_responses(row["responses"], row.get("response_extras"))
    system = [each for each in prompt if each["role"] == "system"]
    turns = [each for each in prompt if each["role"] != "system"]
    detail = f"prompt starting {text_of(prompt[-1])[:60]!r}"
    if read_tools(row.get("tools")) or any(fields_of(each) for each in [*prompt, *responses]):
        return Refusal("no reward", f"{detail}: tools and fields besides text")
    if [each["role"] for each in turns] != [("user", "assistant")[place % 2] for place in range(len(turns))]:
        return Refusal("no reward", f"{detail}: turns of user and assistant do not alternate")
    source, candidates = _of_turns(turns, responses)
    return Texts("\n".join([*map(text_of, system), source]), candidates)


def _of_turns(turns: Sequence[Message], responses: Sequence[Message]) -> tuple[str, list[str]]:
    if len(turns) == 1:
        return text_of(turns[0]), [text_of(response) for response in responses]
    asked = "\n".join(f"USER: {text_of(turn)}\nAssistant: <Response {i}>" for i, turn in enumerate(turns[::2], 1))
    before = [f"<Response {i}>: {text_of(turn)}" for i, turn in enumerate(turns[1::2], 1)]
    last = len(before) + 1
    return _SEVERAL_TURNS + asked, [
        "\n".join([*before, f"<Response {last}>: {text_of(response)}"]) for response in responses
    ]


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern[str]:
    """Return a pattern of the special tokens, which are read as text inside of a text."""
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return re.compile(
        "|".join(map(re.escape, sorted({*special, *tokenizer.all_special_tokens}, key=len, reverse=True)))
    )


def check_marks(tokenizer: "PreTrainedTokenizerBase", config: Any, label: str) -> None:
    """Raise ValueError if the tokenizer does not have the marks of PairRM as the configuration numbers them."""
    names = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
    for mark, name in zip(MARKS, names, strict=True):
        held, wanted = tokenizer.get_vocab().get(mark), getattr(config, name, None)
        if held is None or held != wanted:
            problem = f"its tokenizer has the id {held} for {mark}, and config.json {name}={wanted}"
            raise ValueError(f"{label}: {problem}; download the tokenizer and config.json of PairRM-hf again")
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise ValueError(f"{label}: its tokenizer has no [CLS] or [SEP]; download the tokenizer of PairRM-hf again")


class Part(NamedTuple):
    """Tokens of a marked text between the tokens that begin and end it, and whether they were truncated."""

    ids: list[int]
    cut: bool


def compared_ids(
    tokenizer: "PreTrainedTokenizerBase", pattern: re.Pattern[str], texts: Texts, lengths: Lengths
) -> tuple[Part, list[tuple[Part, Part]]]:
    """Return the tokens of the source, and of each candidate as the first and as the second one of a comparison.

    A source that is shorter than its limit leaves the rest to the candidates, half of it to each.
    """
    source, *candidates = as_text(pattern, [texts.source, *texts.candidates])
    marked = [MARKS[0] + source, *(mark + text for text in candidates for mark in MARKS[1:])]
    whole, *rest = token_ids(tokenizer, marked)
    source_part = _part(tokenizer, whole, lengths.source)
    most = (lengths.whole - len(source_part.ids)) // 2
    parts = [_part(tokenizer, ids, most) for ids in rest]
    return source_part, list(zip(parts[::2], parts[1::2], strict=True))


def _part(tokenizer: "PreTrainedTokenizerBase", ids: list[int], most: int) -> Part:
    return Part([tokenizer.cls_token_id, *ids[: most - 2], tokenizer.sep_token_id], len(ids) > most - 2)
