"""Sampler: responses of a policy, with transformers and the policy's own chat template."""

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
    """Raise ValueError if the shortest prompt and max_new_tokens do not fit into the model's positions."""
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
    """Yield (index of the prompt, number of the response, response) for each wanted response, as soon as it ends.

    wanted: the numbers of the responses to sample, by the prompt's index; `samples` is their total number per prompt.
    tools: of each prompt. max_new_tokens: see `most_new_tokens` for None.

    A prompt is refused if the chat template fails or leaves out a part of it, if the model has no room for
    max_new_tokens after it, or if it contains the text of a control token (with control_tokens="text", this is
    tokenized as plain text, as by the token profiles). Except for rounding (draw.py), a response depends only on the
    seed, the content of its prompt and its number, not on the other responses. The longest prompts come first. Of the
    model's own generation settings, only the end tokens are used. Raises ValueError if memory runs out.
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
    usable = {index: array("i", tokens) for index, tokens in ids.items() if not isinstance(tokens, Refusal)}
    longest_first = sorted(usable, key=lambda index: (-len(usable[index]), index))
    places = [(index, number) for index in longest_first for number in wanted[index]]
    batches = (places[start : start + batch_size] for start in range(0, len(places), batch_size))
    sample = partial(_sample_batch, model, tokenizer, usable, partial(draw, temperature=temperature, top_p=top_p))
    numbers = partial(_uniform_numbers, seed, asked, most)
    drawn = (response for batch in batches for response in sample(batch, numbers(batch)))
    yield from track(_out_of_memory_named(drawn, batch_size), "sampling, responses", len(places))


def _settings(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_new_tokens: int
) -> "GenerationConfig":
    """Return the generation settings; only the end tokens are taken from the model's own."""
    from transformers import GenerationConfig

    own = model.generation_config.eos_token_id if model.generation_config else None
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=end_tokens(tokenizer, own),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def _uniform_numbers(seed: int, asked: Mapping[int, Asked], tokens: int, batch: Sequence[Place]) -> "np.ndarray":
    """Return the random numbers of a batch, one for each token of each response, [tokens, responses]."""
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
    """Return a response with its text, without the end token and with other control tokens written as text."""
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
        raise ValueError(f"batch_size={batch_size}: out of memory while sampling; use a smaller one") from error
