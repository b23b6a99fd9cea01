"""Conversations to text to tokens: rendered once by the chat template, the answer found as the difference.

The prompt's tokens are those of `template(prompt, add_generation_prompt=True)` on its own: what generation sees, and
the same for both answers. An answer's tokens are those by which `template(prompt + answer)`, tokenised as a whole,
goes on: some tokenizers write a text differently at its start (Llama-2 and Mistral put a space before it), so an
answer that is tokenised alone is not the one that a model writes. Where the whole text merges the prompt's last
characters with the answer's first ones (an answer that starts with a newline after ChatML's header), a model that was
given the prompt cannot write that token; there the answer is tokenised alone, if that gives the same text.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from apm_exp.messages import text_of
from apm_exp.types import Message, Refusal, TokenisedPair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "PROBE"
_TEXTS_AT_ONCE = 1000  # the tokenizer keeps offsets and masks beside the ids of a batch, which is much memory
_REMEDY = "give a template that does with model.chat_template=FILE"


@dataclass(frozen=True)
class TurnEnd:
    """How an answer ends: its end token, and the tokens that the template writes from that token on.

    tail_ids is empty where the template writes no end token.
    """

    token_id: int
    tail_ids: list[int]


def chat_text(
    tokenizer: "PreTrainedTokenizerBase", messages: list[Message], *, generation_prompt: bool
) -> str | Refusal:
    """The conversation as the chat template writes it, or a refusal where the template does not take it.

    generation_prompt: end with the header of the assistant's turn. Raises ValueError where there is no usable template.
    """
    from jinja2 import TemplateError, TemplateSyntaxError

    if not tokenizer.chat_template:
        raise ValueError("model.chat_template=null: the tokenizer has no chat template; give model.chat_template=FILE")
    try:
        text = tokenizer.apply_chat_template(
            cast(list[dict[str, str]], messages), tokenize=False, add_generation_prompt=generation_prompt
        )
        return cast(str, text)
    except TemplateSyntaxError as error:
        raise ValueError(f"model.chat_template: line {error.lineno}: {error.message}; correct the template") from error
    except TemplateError as error:
        return Refusal("the chat template does not take the conversation", str(error.message))


def token_ids(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[list[int]]:
    """The token ids of each text, with nothing added: the template has written every special token."""
    ids: list[list[int]] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[start : start + _TEXTS_AT_ONCE]
        ids += tokenizer(part, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return ids


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> TurnEnd:
    """How this tokenizer's template ends an answer, found by rendering one.

    The end token is the first special token after the answer (`<|eot_id|>`, `<end_of_turn>`, `<|im_end|>`, `</s>`);
    where there is none, it is the tokenizer's end token. Raises ValueError where there is neither, or where the
    template does not show the answer.
    """
    messages = [Message(role="user", content="Hello"), Message(role="assistant", content=_PROBE)]
    text = chat_text(tokenizer, messages, generation_prompt=False)
    if isinstance(text, Refusal):
        raise ValueError(
            f"model.chat_template: the template takes no user's and assistant's turn: {text.detail}; {_REMEDY}"
        )
    if _PROBE not in text:
        raise ValueError(f"model.chat_template: the template does not show the assistant's text; {_REMEDY}")
    ids = token_ids(tokenizer, [text.rpartition(_PROBE)[2]])[0]
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special} | {tokenizer.eos_token_id}
    start = next((position for position, id in enumerate(ids) if id in special), None)
    if start is not None:
        return TurnEnd(ids[start], ids[start:])
    if tokenizer.eos_token_id is None:
        raise ValueError(f"model.chat_template: neither it nor the tokenizer ends an answer with a token; {_REMEDY}")
    return TurnEnd(tokenizer.eos_token_id, [])


def tokenise_pairs(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[list[Message]],
    chosen: list[list[Message]],
    rejected: list[list[Message]],
) -> list[TokenisedPair | Refusal]:
    """The tokens of each pair, uncut; each answer up to and including its one end token.

    Refused: a conversation that the template does not take, a message that contains the text of the BOS or end token,
    an answer of which nothing is left. Raises ValueError where the text of the prompt is not a prefix of the text of
    prompt and answer.
    """
    end = turn_end(tokenizer)
    texts = [_texts(tokenizer, end, *pair) for pair in zip(prompts, chosen, rejected, strict=True)]
    rendered = [text for text in texts if not isinstance(text, Refusal)]
    prompt_ids, chosen_ids, rejected_ids = (token_ids(tokenizer, [text[i] for text in rendered]) for i in range(3))
    pairs = zip(rendered, prompt_ids, chosen_ids, rejected_ids, strict=True)
    return [text if isinstance(text, Refusal) else _pair(tokenizer, end, *next(pairs)) for text in texts]


def _texts(
    tokenizer: "PreTrainedTokenizerBase",
    end: TurnEnd,
    prompt: list[Message],
    chosen: list[Message],
    rejected: list[Message],
) -> tuple[str, str, str] | Refusal:
    """The texts of the prompt, and of the prompt with either answer."""
    if written := _control_token(tokenizer, end, [*prompt, *chosen, *rejected]):
        return Refusal("a message contains a control token", written)
    texts = (
        chat_text(tokenizer, prompt, generation_prompt=True),
        chat_text(tokenizer, [*prompt, *chosen], generation_prompt=False),
        chat_text(tokenizer, [*prompt, *rejected], generation_prompt=False),
    )
    for text in texts:
        if isinstance(text, Refusal):
            return text
        if not text.startswith(texts[0]):  # type: ignore[arg-type]
            raise ValueError(_no_prefix(str(texts[0]), text, prompt))
    return texts  # type: ignore[return-value]


def _control_token(tokenizer: "PreTrainedTokenizerBase", end: TurnEnd, messages: list[Message]) -> str | None:
    """The BOS or end token that a message spells out: it would be read as one, in the middle of a turn."""
    tokens = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.convert_ids_to_tokens(end.token_id)} - {None}
    return next(
        (f"{token} in the {m['role']}'s turn" for m in messages for token in tokens if token in text_of(m)), None
    )


def _no_prefix(prompt: str, conversation: str, messages: list[Message]) -> str:
    same = next(i for i, (a, b) in enumerate(zip(prompt, conversation + "\0", strict=False)) if a != b)
    return (
        "model.chat_template: the template does not write the prompt and then the answer, so that one cannot be told "
        f"from the other (prompt starting {text_of(messages[-1])[:60]!r}: {prompt[same:][:40]!r} becomes "
        f"{conversation[same:][:40]!r}); {_REMEDY}"
    )


def _pair(
    tokenizer: "PreTrainedTokenizerBase",
    end: TurnEnd,
    texts: tuple[str, str, str],
    prompt_ids: list[int],
    *conversations: list[int],
) -> TokenisedPair | Refusal:
    answers = []
    for text, ids in zip(texts[1:], conversations, strict=True):
        answer = _continuation(tokenizer, prompt_ids, text[len(texts[0]) :], ids)
        answers.append(answer if isinstance(answer, Refusal) else _ended(answer, end))
        if isinstance(answers[-1], Refusal):
            return answers[-1]
    return TokenisedPair(prompt_ids, *answers)  # type: ignore[arg-type]


def _continuation(
    tokenizer: "PreTrainedTokenizerBase", prompt_ids: list[int], answer: str, conversation_ids: list[int]
) -> list[int] | Refusal:
    """The answer's token ids: see the top of this file."""
    if conversation_ids[: len(prompt_ids)] == prompt_ids:
        return conversation_ids[len(prompt_ids) :]
    alone = token_ids(tokenizer, [answer])[0]
    whole, parts = (tokenizer.decode(ids) for ids in (conversation_ids, prompt_ids + alone))
    if whole != parts:
        return Refusal("prompt and answer merge into one token", f"answer starting {answer[:40]!r}")
    return alone


def _ended(answer_ids: list[int], end: TurnEnd) -> list[int] | Refusal:
    """The answer up to its end token, which is added where the template writes none."""
    if answer_ids[len(answer_ids) - len(end.tail_ids) :] != end.tail_ids:
        raise ValueError(f"model.chat_template: the template does not end every answer in the same way; {_REMEDY}")
    content = answer_ids[: len(answer_ids) - len(end.tail_ids)]
    if not content:
        return Refusal("empty answer", "the chat template leaves nothing of the answer's text")
    return [*content, end.token_id]


def how_cut(
    pair: TokenisedPair, prompt_ids: list[int], chosen_ids: list[int], rejected_ids: list[int]
) -> tuple[bool, int]:
    """Whether these are less than the pair's prompt, and how many of them less than its responses."""
    cut_responses = (len(chosen_ids) < len(pair.chosen_ids)) + (len(rejected_ids) < len(pair.rejected_ids))
    return len(prompt_ids) < len(pair.prompt_ids), cut_responses
