"""Sampler: responses of a policy, by a vLLM server in an environment of its own, token ids in and out."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.core.console import track
from apm_exp.core.ranges import Temperature
from apm_exp.core.types import Message, Policy, Refusal, Tools
from apm_exp.data.endpoint.ask import Asking
from apm_exp.data.endpoint.checks import check_endpoint, check_ready
from apm_exp.data.endpoint.client import import_openai
from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.data.endpoint.endpoint import endpoint as endpoint_settings
from apm_exp.data.endpoint.request import Request
from apm_exp.data.generate.most_new_tokens import check_policy as check_policy
from apm_exp.data.generate.most_new_tokens import most_new_tokens
from apm_exp.data.generate.openai_sampler import request_seed
from apm_exp.data.generate.samples import Drawn
from apm_exp.data.generate.tokens_of_prompts import tokens_of_prompts
from apm_exp.data.generate.vllm_reply import response_of
from apm_exp.data.generate.vllm_server import PLACE, SERVED, check_command, server_of
from apm_exp.models.tokens.control import ControlTokens
from apm_exp.models.tokens.end_tokens import end_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sample_responses(
    policy: Policy,
    prompts: Sequence[list[Message]],
    runtime: Mapping[str, Any],
    wanted: Mapping[int, Sequence[int]],
    sampled: Path,
    tools: Sequence[Tools | None] | None = None,
    *,
    samples: Annotated[int, Field(ge=1, le=10_000)],
    temperature: Temperature,
    top_p: Annotated[float, Field(gt=0, le=1)],
    max_new_tokens: Annotated[int, Field(ge=1, le=2**24)] | None,
    seed: int,
    control_tokens: ControlTokens,
    concurrency: Annotated[int, Field(ge=1, le=4096), UNHASHED],
    timeout: Annotated[float, Field(gt=0), UNHASHED],
    endpoint: Annotated[str | None, UNHASHED],
    key_variable: Annotated[str | None, UNHASHED],
    vllm: dict[str, Any],
) -> Iterator[Drawn]:
    """Yield (index of the prompt, number of the response, response) for each wanted response, as soon as it ends.

    wanted, tools, and when a prompt is refused: as in transformers_sampler.py. sampled: the step's folder for partial
    results, with the server's log. Each response is a request with a seed of its own, a hash of `seed`, its prompt and
    its number, and with every sampling value, so that the model's own apply nowhere. endpoint: the address of a server
    that has the policy's folder; None: one is started as `vllm` says, and stopped after the last response.

    Raises ValueError if the server does not start, ends early, or serves another folder.
    """
    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_tokenizer
    from apm_exp.models.preflight import empty_model

    if not any(wanted.values()):
        return
    tokenizer, model = load_tokenizer(policy), empty_model(policy, f"model.path={policy.folder}")
    most, ends = most_new_tokens(max_new_tokens, context_length(model)), _ends(policy, tokenizer, model)
    asked = {index: (prompts[index], tools[index] if tools else None) for index in wanted}
    usable, refused = tokens_of_prompts(model, tokenizer, asked, most, control_tokens)
    yield from ((index, number, refusal) for index, refusal in refused.items() for number in wanted[index])
    if not usable:
        return
    every_value = _sampling_values(most, ends, temperature, top_p)

    def request(index: int, number: int) -> Request:
        own = {"prompt": list(usable[index]), "seed": request_seed(seed, prompts[index], number)}
        return Request((index, number), own | every_value, group=index)

    requests = (request(index, number) for index in usable for number in wanted[index])
    tokens = max(map(len, usable.values())) + most
    how = partial(_endpoint, key_variable=key_variable, concurrency=concurrency, timeout=timeout)
    with server_of(policy, how, endpoint, component.bind(PLACE, vllm)(), tokens, sampled) as (server, alive):
        replies = Asking(server, None, alive).all(requests)
        for (index, number), reply in track(replies, "sampling, responses", sum(len(wanted[each]) for each in usable)):
            if isinstance(reply, Refusal):
                yield index, number, reply
            else:
                yield index, number, response_of(reply, tokenizer, usable[index], ends)


def check(*, endpoint: str | None, key_variable: str | None) -> None:
    """Raise ValueError for an address that is none."""
    if endpoint is not None:
        check_endpoint(_endpoint(endpoint, key_variable=key_variable))


def ready(*, endpoint: str | None, key_variable: str | None, vllm: dict[str, Any]) -> None:
    """Raise ValueError if the server that is to be asked cannot be reached, or the one to start has no program."""
    if endpoint is None:
        import_openai()
        check_command(component.bind(PLACE, vllm)())
    else:
        check_ready(_endpoint(endpoint, key_variable=key_variable))


def spending(sampled: Path, out: Path) -> dict[str, int | float]:
    """Keep what was served, with the server's version."""
    if (sampled / SERVED).exists():
        shutil.move(sampled / SERVED, out / SERVED)
    return {}


def _endpoint(url: str, model: str = "", **how: Any) -> Endpoint:
    """Return the endpoint of a vLLM server of the user's own, for which nothing is paid."""
    free = endpoint_settings(url=url, model=model, input_price=0.0, output_price=0.0, backoff=5.0, **how)
    return replace(free, place="generate", url_setting="generate.endpoint")


def _ends(policy: Policy, tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel") -> list[int]:
    """Return the tokens that end a response: those of transformers_sampler.py."""
    from transformers import GenerationConfig

    if (policy.folder / "generation_config.json").is_file():
        return end_tokens(tokenizer, GenerationConfig.from_pretrained(policy.folder).eos_token_id)
    return end_tokens(tokenizer, model.generation_config.eos_token_id if model.generation_config else None)


def _sampling_values(most: int, ends: list[int], temperature: float, top_p: float) -> dict[str, Any]:
    """Return every sampling value of a request; those that the openai client does not know are vLLM's."""
    values = {"max_tokens": most, "temperature": temperature, "top_p": top_p, "n": 1, "logprobs": 0}
    values |= {"presence_penalty": 0.0, "frequency_penalty": 0.0}
    others: dict[str, Any] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "min_tokens": 0}
    others |= {"stop_token_ids": ends, "ignore_eos": False, "skip_special_tokens": False, "return_token_ids": True}
    return {**values, "extra_body": others}
