"""Samples responses from a policy, with transformers and the policy's own chat template."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.core.console import track
from apm_exp.core.ranges import Temperature
from apm_exp.core.types import Message, Policy, Refusal, Tools
from apm_exp.data.generate.most_new_tokens import most_new_tokens
from apm_exp.data.generate.samples import Drawn, Response
from apm_exp.data.generate.tokens_of_prompts import Asked, tokens_of_prompts
from apm_exp.models.tokens.control import ControlTokens
from apm_exp.models.tokens.end_tokens import end_tokens
from apm_exp.models.tokens.probe import check_room

if TYPE_CHECKING:
    import numpy as np
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

    from apm_exp.data.generate.decode import Draw

Place = tuple[int, int]  # a prompt's index, a response's number


def check_policy(
    place: str,
    tokenizer: "PreTrainedTokenizerBase",
    positions: int | None,
    shortest: Sequence[Message],
    *,
    max_new_tokens: int | None,
) -> None:
    """Raise ValueError if the model has no room for so many new tokens after the shortest prompt."""
    check_room(f"{place}.max_new_tokens", most_new_tokens(max_new_tokens, positions), tokenizer, positions, shortest)


def sample_responses(
    policy: Policy,
    prompts: Sequence[list[Message]],
    runtime: Mapping[str, Any],
    wanted: Mapping[int, Sequence[int]],
    tools: Sequence[Tools | None] | None = None,
    *,
    samples: Annotated[int, Field(ge=1, le=10_000)],
    temperature: Temperature,
    top_p: Annotated[float, Field(gt=0, le=1)],
    max_new_tokens: Annotated[int, Field(ge=1, le=2**24)] | None,
    batch_size: Annotated[int, Field(ge=1), UNHASHED],
    seed: int,
    control_tokens: ControlTokens = "refuse",
) -> Iterator[Drawn]:
    """Yield (index of the prompt, number of the response, response) for all that is wanted, as each ends.

    wanted: the numbers of the responses to draw, by the prompt's index (`samples` is how many there are of them in
    all). tools: of each prompt. max_new_tokens: see `most_new_tokens` for None. Refused are prompts that the chat
    template does not take or of which it leaves out a part, that leave the model no room for max_new_tokens, or that
    spell out a control token (control_tokens "text" reads it as text instead, as the token profiles do). A response
    depends on the seed, its prompt's content and its number alone, not on what else is wanted or in its batch, but for
    rounding (draw.py); the longest prompts come first. The model's own sampling settings are not used, its end tokens
    are. Raises ValueError if the memory runs out.
    """
    from apm_exp.data.generate.draw import draw
    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_model, load_tokenizer

    if not any(wanted.values()):
        return
    tokenizer = load_tokenizer(policy)
    model = load_model(policy, component.bind("runtime", runtime)().device)
    most = most_new_tokens(max_new_tokens, context_length(model))
    model.generation_config = _settings(model, tokenizer, most)
    asked = {index: (prompts[index], tools[index] if tools else None) for index in wanted}
    ids = tokens_of_prompts(model, tokenizer, asked, most, control_tokens)
    for index in sorted(wanted):
        if isinstance(refusal := ids[index], Refusal):
            yield from ((index, number, refusal) for number in wanted[index])
    usable = {index: array("i", one) for index, one in ids.items() if not isinstance(one, Refusal)}
    longest_first = sorted(usable, key=lambda index: (-len(usable[index]), index))
    places = [(index, number) for index in longest_first for number in wanted[index]]
    batches = (places[start : start + batch_size] for start in range(0, len(places), batch_size))
    sample = partial(_sample_batch, model, tokenizer, usable, partial(draw, temperature=temperature, top_p=top_p))
    numbers = partial(_uniform_numbers, seed, asked, most)
    drawn = (one for batch in batches for one in sample(batch, numbers(batch)))
    yield from track(_out_of_memory_named(drawn, batch_size), "sampling, responses", len(places))


def _settings(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_new_tokens: int
) -> "GenerationConfig":
    """What transformers prepares a decoding for; nothing is inherited but the model's end tokens."""
    from transformers import GenerationConfig

    own = model.generation_config.eos_token_id if model.generation_config else None
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=end_tokens(tokenizer, own),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def _uniform_numbers(seed: int, asked: Mapping[int, Asked], tokens: int, batch: Sequence[Place]) -> "np.ndarray":
    """The random numbers of each response of a batch, one a token, [tokens, responses]."""
    import numpy as np

    from apm_exp.data.generate.draw import uniform_numbers

    return np.stack([uniform_numbers(seed, asked[index], number, tokens) for index, number in batch], axis=1)


def _sample_batch(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    ids: Mapping[int, Sequence[int]],
    draw: "Draw",
    batch: Sequence[Place],
    uniform_TN: "np.ndarray",
) -> Iterator[Drawn]:
    """Yield the responses of a batch as they end."""
    from apm_exp.data.generate.decode import decode_prompts

    rows = {index: row for row, index in enumerate(dict.fromkeys(index for index, _ in batch))}
    ended = decode_prompts(model, [ids[i] for i in rows], [rows[i] for i, _ in batch], draw, uniform_TN)
    ends = model.generation_config.eos_token_id
    for place, tokens, logp in ended:
        index, number = batch[place]
        yield index, number, _response(tokenizer, ids[index], tokens, logp, ends)


def _response(
    tokenizer: "PreTrainedTokenizerBase", prompt_ids: Sequence[int], ids: list[int], logp: float, ends: Sequence[int]
) -> Response:
    """A response with its text, in which the end token is left out and every other control token is spelled out."""
    finished = ids[-1] in ends
    shown = ids[: len(ids) - finished]
    (text,) = tokenizer.batch_decode([shown], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Response(text, finished, len(ids), logp, prompt_ids, array("i", ids))


def _out_of_memory_named(drawn: Iterator[Drawn], batch_size: int) -> Iterator[Drawn]:
    from apm_exp.models.halving import out_of_memory

    try:
        yield from drawn
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise ValueError(f"batch_size={batch_size}: out of memory while sampling; give a smaller one") from error
