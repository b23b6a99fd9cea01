"""The token profile of SimPO's 2024 release (princeton-nlp/SimPO, run_simpo.py and simpo_trainer.py), for comparison.

It differs from the default profile as in the release: the template is applied to prompt and response separately, so
that the assistant's header belongs to the response; the longer response determines how both are truncated.
"""

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from apm_exp.core.types import Message, Refusal, TokenizedPair, Tools
from apm_exp.models.tokens.control import ControlTokens, checked, control_pattern
from apm_exp.models.tokens.render import chat_text, token_ids
from apm_exp.models.tokens.shorten import shortened
from apm_exp.models.tokens.simpo_cut import cut
from apm_exp.models.tokens.tool_calls import not_written

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
_PROBE, _QUESTION, _NO_ROLE = "PROBE", Message(role="user", content="QUESTION"), "bystander"
_ALONE = Message(role="assistant", content=_PROBE)
Split = tuple[list[int], list[int]]  # token ids of a prompt and of a response


def simpo_2024(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: list[list[Message]],
    chosen: list[list[Message]],
    rejected: list[list[Message]],
    tools: Sequence[Tools | None] | None = None,
    *,
    max_length: Annotated[int, Field(gt=0)],
    end_of_sequence: str | None = None,
    max_prompt_length: Annotated[int, Field(gt=0)],
    insert_empty_system: bool,
    control_tokens: ControlTokens = "refuse",
) -> list[TokenizedPair | Refusal]:
    """Return the tokens of each pair by SimPO's rules, or why it is refused. Lengths are in tokens.

    end_of_sequence: the token to use as EOS, which ends a response; null: the tokenizer's own.

    The prompt is rendered without a generation prompt, the response as a conversation of its own without a leading BOS;
    both are tokenized together and split after the prompt's tokens (one earlier if its last token merged with the
    response). A BOS is added before a prompt without one, an EOS after a response whose last token is another (after
    Gemma's `<end_of_turn>` and newline too). If the prompt and the longer response exceed max_length, the prompt keeps
    its last max_prompt_length tokens (and may lose its BOS); if that is still too long, each response keeps its first
    max_length - max_prompt_length tokens (248 of 2048 - 1800). insert_empty_system: insert an empty system turn if the
    template supports system turns (_knows_system). control_tokens: as in per_response.

    Refused: a conversation that the template does not accept; a prompt with tools; a pair of which only one response
    merges with the prompt (SimPO gives its responses different prompts, a pair here has one), or whose responses change
    more of it. Raises ValueError if the template does not accept a response alone, or if max_prompt_length is too
    large.
    """
    check(max_length=max_length, max_prompt_length=max_prompt_length)
    _check_answer_alone(tokenizer)
    system = insert_empty_system and _knows_system(tokenizer)
    pattern, offered = control_pattern(tokenizer), tools or [None] * len(prompts)
    rows = zip(offered, prompts, chosen, rejected, strict=True)
    whole = [_texts(tokenizer, system, pattern, control_tokens, *row) for row in rows]
    texts = [text if isinstance(text, Refusal) else shortened(tokenizer, text, max_length) for text in whole]
    splits = iter(_tokenized(tokenizer, [text for text in texts if not isinstance(text, Refusal)]))
    limits = (tokenizer.bos_token_id, _end(tokenizer, end_of_sequence), max_length, max_prompt_length)
    return [text if isinstance(text, Refusal) else _pair(*next(splits), *limits) for text in texts]


def check(*, max_length: int, max_prompt_length: int) -> None:
    """Raise ValueError if a truncated prompt would leave no token for a response."""
    if max_prompt_length >= max_length:
        remedy = f"give less than tokens.max_length={max_length}"
        raise ValueError(
            f"tokens.max_prompt_length={max_prompt_length}: leaves no token for a truncated response; {remedy}"
        )


def _check_answer_alone(tokenizer: "PreTrainedTokenizerBase") -> None:
    text = chat_text(tokenizer, [_ALONE], generation_prompt=False)
    if isinstance(text, Refusal):
        raise ValueError(
            f"tokens=simpo_2024: the chat template rejects a response alone ({text.detail}); use another, as "
            "in SimPO's training configuration, with model.chat_template=FILE, or use tokens=per_response"
        )
    after = chat_text(tokenizer, [_QUESTION, _ALONE], generation_prompt=False)
    more = text.partition(_PROBE)[0].removeprefix(tokenizer.bos_token or "")
    if isinstance(after, str) and _PROBE in text and more not in after.partition("QUESTION")[2]:
        _say_more(more)


@lru_cache
def _say_more(more: str) -> None:
    logger.warning(
        "tokens=simpo_2024: as in SimPO, a response is rendered alone, and the chat template then starts it with %r, "
        "which is scored and trained as a part of each response; tokens=per_response avoids this",
        more,
    )


def _knows_system(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Return whether a template treats a system turn differently from other turns, or writes `<|im_start|>`.

    SimPO's scripts search the template's text for `system` or `<|im_start|>`, which may be in a comment. Llama-3's
    template, which writes any role alike, does not contain the word, and does not treat system turns specially.
    """
    alone = chat_text(tokenizer, [_QUESTION], generation_prompt=False)
    system, user, other = (
        chat_text(tokenizer, [Message(role=role, content=_PROBE), _QUESTION], generation_prompt=False)
        for role in ("system", "user", _NO_ROLE)
    )
    if isinstance(alone, str) and "<|im_start|>" in alone:
        return True
    if isinstance(system, Refusal) or _PROBE not in system or system == user:
        return False
    return isinstance(other, Refusal) or other.replace(_NO_ROLE, "system") != system


def _texts(
    tokenizer: "PreTrainedTokenizerBase",
    system: bool,
    pattern: re.Pattern[str],
    control_tokens: ControlTokens,
    tools: Tools | None,
    *conversations: list[Message],
) -> tuple[str, ...] | Refusal:
    """Return the texts of the prompt and of each response."""
    if tools:
        return Refusal("a prompt with tools", "SimPO's rules do not support tools; use tokens=per_response")
    messages = checked(pattern, conversations, None, control_tokens)
    if isinstance(messages, Refusal):
        return messages
    prompt, *responses = messages[0]
    if system and prompt[0]["role"] != "system":
        prompt = [Message(role="system", content=""), *prompt]
    texts = [chat_text(tokenizer, turns, generation_prompt=False) for turns in (prompt, *responses)]
    for text, turns in zip(texts, (prompt, *responses), strict=True):
        if isinstance(text, Refusal):
            return text
        if lacking := not_written(text, turns, response=turns is not prompt):
            return Refusal("the chat template leaves out a part of the conversation", lacking)
    bos = tokenizer.bos_token or ""
    return str(texts[0]), *(str(text).removeprefix(bos) for text in texts[1:])


def _tokenized(tokenizer: "PreTrainedTokenizerBase", texts: list[tuple[str, ...]]) -> list[tuple[Split, Split]]:
    prompts = token_ids(tokenizer, [prompt for prompt, _, _ in texts])
    chosen = token_ids(tokenizer, [prompt + response for prompt, response, _ in texts])
    rejected = token_ids(tokenizer, [prompt + response for prompt, _, response in texts])
    triples = zip(prompts, chosen, rejected, strict=True)
    return [(split(prompt, first), split(prompt, second)) for prompt, first, second in triples]


def split(prompt_ids: list[int], ids: list[int]) -> Split:
    """Return the prompt and response tokens, split one token earlier if the prompt's own tokens are not a prefix."""
    start = len(prompt_ids) if ids[: len(prompt_ids)] == prompt_ids else len(prompt_ids) - 1
    return ids[:start], ids[start:]


def _pair(
    chosen: Split, rejected: Split, bos: int | None, eos: int | None, max_length: int, max_prompt_length: int
) -> TokenizedPair | Refusal:
    prompt, other = chosen[0], rejected[0]
    if prompt != other:
        return _different_prompts(prompt, other)
    if bos is not None and prompt[:1] != [bos]:
        prompt = [bos, *prompt]
    return cut(TokenizedPair(prompt, _ended(chosen[1], eos), _ended(rejected[1], eos)), max_length, max_prompt_length)


def _different_prompts(prompt: list[int], other: list[int]) -> Refusal:
    differing = sum(a != b for a, b in zip(prompt, other, strict=False))
    if differing > 1 or abs(len(prompt) - len(other)) > 1:
        detail = f"{len(prompt)} and {len(other)} prompt tokens, {differing} differ; tokens=per_response takes it"
        return Refusal("the responses change more than the prompt's last token", detail)
    return Refusal("one response merges with the prompt", "its tokens give the two responses different prompts")


def _end(tokenizer: "PreTrainedTokenizerBase", token: str | None) -> Any:
    """Return the id of EOS, or of the token that replaces it; None if there is neither."""
    known, token = tokenizer.get_vocab(), token or tokenizer.eos_token
    if token is not None and token not in known:
        own = f"null uses its own, {tokenizer.eos_token}"
        raise ValueError(f"tokens.end_of_sequence={token}: the tokenizer has no such token; {own}")
    return None if token is None else known[token]


def _ended(response: list[int], eos: int | None) -> list[int]:
    return response if eos is None or response[-1:] == [eos] else [*response, eos]
