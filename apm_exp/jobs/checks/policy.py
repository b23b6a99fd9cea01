"""Check the starting policy, and that tokens, sampling and evaluations fit it."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.told import ask
from apm_exp.pipeline.nodes import samples

Node = Mapping[str, Any]
logger = logging.getLogger(__name__)


def check_model(config: Mapping[str, Any]) -> bool:
    """Check the model node, the folder that it names, and the settings that must fit the model.

    Returns False if this is a plan and the folder could not be checked because it is not cached. Raises a one-line
    ValueError.
    """
    from apm_exp.models.loading import check_attention
    from apm_exp.models.pretrained import has_weights
    from apm_exp.pipeline.resolve import builds_model, is_here
    from apm_exp.runtime.device import pick_device

    node = config["model"]
    check_attention(node["attention"], pick_device(dict(config["runtime"])))
    if builds_model(node):
        _check_built(config)
    elif config["task"] == "plan" and not is_here("model", node):
        logger.warning("model.path=%s: not cached yet; a run downloads it first", node["path"])
        return False
    elif config["task"] == "plan" and not has_weights(component.bind("model", node)()):
        logger.warning("model.path=%s: only its config.json is here; a run needs its weights too", node["path"])
        return False
    else:
        _check_folder(config)
    return True


def _check_folder(config: Mapping[str, Any]) -> None:
    from apm_exp.models.context import context_length
    from apm_exp.models.loading import without_kernels
    from apm_exp.models.preflight import preflight
    from apm_exp.runtime.accelerators import is_elsewhere
    from apm_exp.training.adapters.preflight import check_layers
    from apm_exp.training.compiled_blocks import parts_to_compile

    node = config["model"]
    elsewhere = is_elsewhere(config["runtime"])  # the kernels of an attention are those of that machine
    kernels = {"attention": without_kernels(node["attention"])} if elsewhere else {}
    model, tokenizer = preflight(component.bind("model", node)(), {**node, **kernels})
    _check_use(config, tokenizer, context_length(model), f"model.path={node['path']}")
    if config["trainer"]["torch_compile"] and config["until"] is None:
        parts_to_compile(model)
    check_layers(config["adapter"], model)


def _check_built(config: Mapping[str, Any]) -> None:
    """Check a model that is built here, by the tokenizer and the positions that its module declares."""
    from apm_exp.models.tokens.chat_settings import ChatSettings, check_variables
    from apm_exp.models.tokens.render import template_of

    node = config["model"]
    if template := node.get("chat_template"):
        raise ValueError(f"model.chat_template={template}: this model is built here and has its own template")
    tokenizer, positions = (ask("model", node, name) for name in ("tokenizer", "context"))
    if tokenizer is not None:
        tokenizer.chat_settings = ChatSettings(node.get("chat_template_kwargs") or {})
        check_variables(tokenizer, template_of(tokenizer))
        label = f"model.positions={positions}" if "positions" in node else f"model={component.name_of(node)}"
        _check_use(config, tokenizer, positions, label)


def _check_use(config: Mapping[str, Any], tokenizer: Any, positions: int | None, label: str) -> None:
    from apm_exp.models.tokens.probe import LETTER, check_tokens

    shortest = ask("dataset", config["dataset"], "shortest_prompt") or LETTER
    fewest, budget = check_tokens(config["tokens"], tokenizer, positions, shortest, label), _budget(config["runtime"])
    if budget is not None and budget < fewest:
        problem = f"the shortest pair alone has {fewest} tokens"
        raise ValueError(f"runtime.tokens_per_batch={budget}: {problem}; give the length of the longest, or null")
    for place, sampler, prompts in _samplings(config):
        shortest = ask("dataset", prompts, "shortest_prompt") or LETTER
        ask(place, sampler, "check_policy", place, tokenizer, positions, shortest)


def _samplings(config: Mapping[str, Any]) -> Iterator[tuple[str, Node, Node]]:
    """Yield the name and the node of each sampler, and the node of its prompts."""
    if samples(config):
        yield "generate", config["generate"], config["dataset"]
    if config["until"] is None:
        for name, node in (config["evals"] or {}).items():
            if "generate" in node:
                yield f"evals.{name}.generate", node["generate"], node["prompts"]


def _budget(runtime: Mapping[str, Any]) -> int | None:
    """Return the number of tokens of a forward that the user set, or None."""
    tokens: int | None = runtime["tokens_per_batch"]
    return tokens
