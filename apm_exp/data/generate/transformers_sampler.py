"""Samples responses from a policy, by transformers' `generate` and the policy's own chat template."""

import hashlib
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from apm_exp.core import component
from apm_exp.core.console import track
from apm_exp.core.types import Message, Policy, Refusal, Tools
from apm_exp.data.generate.samples import Samples
from apm_exp.models.tokens.control import ControlTokens, checked, control_pattern
from apm_exp.models.tokens.end_tokens import end_tokens
from apm_exp.models.tokens.pairs import prompt_text
from apm_exp.models.tokens.render import token_ids

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def sample_responses(
    policy: Policy,
    prompts: Sequence[list[Message]],
    runtime: Mapping[str, Any],
    known: Collection[int],
    tools: Sequence[Tools | None] | None = None,
    *,
    samples: Annotated[int, Field(ge=1, le=10_000)],
    temperature: Annotated[float, Field(gt=0, le=100)],
    top_p: Annotated[float, Field(gt=0, le=1)],
    max_new_tokens: Annotated[int, Field(ge=1)],
    batch_size: Annotated[int, Field(ge=1)],
    seed: int,
    control_tokens: ControlTokens = "refuse",
) -> Iterator[tuple[int, Samples | Refusal]]:
    """Yield (index of the prompt, `samples` responses to it), batch after batch, longest prompts first.

    known: indices that are left out because they have been sampled before. tools: of each prompt. Refused are prompts
    that the chat template does not take or of which it leaves out a part, that leave the model no room for
    max_new_tokens, or that spell out a control token (control_tokens "text" reads it as text instead, as the token
    profiles do). Every batch has a random state of its own, which depends on the seed and its number alone, so what
    is left out changes nothing; another batch_size gives other responses. The model's own sampling settings are not
    used, its end tokens are. Raises ValueError where the memory runs out.
    """
    from apm_exp.models.context import context_length
    from apm_exp.models.halving import out_of_memory
    from apm_exp.models.load import load_model, load_tokenizer

    if len(known) == len(prompts):
        return
    tokenizer = load_tokenizer(policy)
    settings = component.bind("runtime", runtime)()
    model = load_model(policy, settings.device)
    model.generation_config = _sampling(model, tokenizer, samples, temperature, top_p, max_new_tokens)
    ends = set(model.generation_config.eos_token_id)
    pattern = control_pattern(tokenizer)
    room = context_length(model)
    asked = zip(prompts, tools or [None] * len(prompts), strict=True)
    safe = (checked(pattern, (prompt,), offered, control_tokens) for prompt, offered in asked)
    ids = [one if isinstance(one, Refusal) else _prompt_ids(tokenizer, room, one, max_new_tokens) for one in safe]
    yield from ((index, one) for index, one in enumerate(ids) if isinstance(one, Refusal) and index not in known)
    usable = {index: one for index, one in enumerate(ids) if not isinstance(one, Refusal)}
    batches = _batches(usable, max(1, batch_size // samples))
    waiting = [(number, batch) for number, batch in enumerate(batches) if not set(batch).issubset(known)]
    for number, batch in track(waiting, "sampling, batches", len(waiting)):
        try:
            drawn = _sample_batch(model, tokenizer, [usable[index] for index in batch], ends, _seed_of(seed, number))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise ValueError(f"batch_size={batch_size}: out of memory while sampling; give a smaller one") from error
        for index, (rows, logps) in zip(batch, drawn, strict=True):
            yield index, _samples(tokenizer, usable[index], rows, logps, ends)


def _sampling(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    samples: int,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
) -> "GenerationConfig":
    """Everything that decides how tokens are drawn; nothing is inherited but the model's end tokens."""
    from transformers import GenerationConfig

    own = model.generation_config.eos_token_id if model.generation_config else None
    return GenerationConfig(
        do_sample=True,
        temperature=temperature,
        top_p=top_p,
        top_k=0,
        num_return_sequences=samples,
        max_new_tokens=max_new_tokens,
        eos_token_id=end_tokens(tokenizer, own),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def _prompt_ids(
    tokenizer: "PreTrainedTokenizerBase",
    room: int | None,
    asked: tuple[list[list[Message]], Tools | None],
    max_new_tokens: int,
) -> list[int] | Refusal:
    (prompt,), tools = asked
    text = prompt_text(tokenizer, prompt, tools)
    if isinstance(text, Refusal):
        return text
    ids = token_ids(tokenizer, [text])[0]
    if room is not None and len(ids) + max_new_tokens > room:
        detail = f"{len(ids)} tokens and {max_new_tokens} new ones; the model takes {room}"
        return Refusal("prompt too long", detail)
    return ids


def _batches(ids: Mapping[int, list[int]], prompts_per_batch: int) -> list[list[int]]:
    """Indices of prompts of about the same length together: little padding, and the largest batch comes first."""
    longest_first = sorted(ids, key=lambda index: (-len(ids[index]), index))
    return [longest_first[start : start + prompts_per_batch] for start in range(0, len(ids), prompts_per_batch)]


def _seed_of(seed: int, batch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {batch}".encode()).digest()[:8]) >> 1


def _sample_batch(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    ids: Sequence[list[int]],
    ends: set[int],
    seed: int,
) -> list[tuple[list[list[int]], list[float]]]:
    """The new tokens of each response to each prompt of a batch, which is padded on the left, each up to its first end
    token, and their log-probs. The caller's random state is kept.
    """
    import torch
    from transformers import LogitsProcessorList

    from apm_exp.data.generate.sampled_logps import SampledLogps

    longest = max(map(len, ids))
    padded = [[tokenizer.pad_token_id] * (longest - len(one)) + one for one in ids]
    mask = [[0] * (longest - len(one)) + [1] * len(one) for one in ids]
    devices = [model.device] if model.device.type == "cuda" else []
    noted = SampledLogps()
    with torch.random.fork_rng(devices=devices), torch.inference_mode():
        torch.manual_seed(seed)
        written = model.generate(  # type: ignore[operator]
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            logits_processor=LogitsProcessorList([noted]),
        )
    rows = [_up_to_end(row, ends) for row in written[:, longest:].tolist()]
    logps = noted.of(written[:, -1], [*map(len, rows)])
    each = len(rows) // len(ids)
    return [(rows[start : start + each], logps[start : start + each]) for start in range(0, len(rows), each)]


def _up_to_end(row: list[int], ends: set[int]) -> list[int]:
    stop = next((at for at, token in enumerate(row) if token in ends), len(row))
    return row[: stop + 1]


def _samples(
    tokenizer: "PreTrainedTokenizerBase", prompt: list[int], rows: list[list[int]], logps: list[float], ends: set[int]
) -> Samples:
    """Responses with their texts, in which the end token is left out and every other control token is spelled out."""
    finished = [row[-1] in ends for row in rows]
    shown = [row[: len(row) - end] for row, end in zip(rows, finished, strict=True)]
    texts = tokenizer.batch_decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Samples(texts, finished, [*map(len, rows)], logps, array("i", prompt), [array("i", row) for row in rows])
