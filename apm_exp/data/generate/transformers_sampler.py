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
from apm_exp.core.types import Message, Policy, Tools
from apm_exp.data.generate.most_new_tokens import check_policy as check_policy
from apm_exp.data.generate.most_new_tokens import most_new_tokens
from apm_exp.data.generate.samples import Drawn, Response
from apm_exp.data.generate.tokens_of_prompts import tokens_of_prompts
from apm_exp.models.tokens.control import ControlTokens
from apm_exp.models.tokens.end_tokens import end_tokens

if TYPE_CHECKING:
    import numpy as np
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
Place = tuple[int, int]  # a prompt's index, a response's number


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
    from apm_exp.data.generate.decode import decode
    from apm_exp.data.generate.draw import draw, uniform_numbers
    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_model, load_tokenizer

    if not any(wanted.values()):
        return
    tokenizer = load_tokenizer(policy)
    model = load_model(policy, component.bind("runtime", runtime)().device)
    most = most_new_tokens(max_new_tokens, context_length(model))
    model.generation_config = _settings(model, tokenizer, most)
    asked = {index: (prompts[index], tools[index] if tools else None) for index in wanted}
    usable, refused = tokens_of_prompts(model, tokenizer, asked, most, control_tokens)
    yield from ((index, number, refusal) for index, refusal in refused.items() for number in wanted[index])
    groups = [(ids, part) for index, ids in usable.items() for part in _parts(index, wanted[index], batch_size)]

    def numbers(place: Place) -> "np.ndarray":
        return uniform_numbers(seed, asked[place[0]], place[1], most)

    ended = decode(model, groups, numbers, partial(draw, temperature=temperature, top_p=top_p), batch_size)
    ends = model.generation_config.eos_token_id
    drawn = ((*place, _response(tokenizer, usable[place[0]], own, logp, ends)) for place, own, logp in ended)
    total = sum(len(places) for _, places in groups)
    yield from track(_out_of_memory_named(drawn, batch_size), "sampling, responses", total)


def _parts(index: int, numbers: Sequence[int], batch_size: int) -> list[list[Place]]:
    """Return the responses to a prompt, in parts of at most batch_size."""
    places = [(index, number) for number in numbers]
    return [places[start : start + batch_size] for start in range(0, len(places), batch_size)]


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
