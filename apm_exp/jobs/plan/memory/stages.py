"""The peak memory of steps that are no training, of one rank on its device, in bytes."""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from apm_exp.core import component
from apm_exp.core.step_names import of_kind
from apm_exp.core.told import ask
from apm_exp.data.generate.most_new_tokens import most_of
from apm_exp.jobs.plan.device import cache_bytes
from apm_exp.jobs.plan.memory.activations import block_of_logits
from apm_exp.models.shape import Shape
from apm_exp.pipeline.flops import MeanLengths, reward_shape
from apm_exp.pipeline.stages.logps import longest_pair
from apm_exp.pipeline.step import Step

_FLOAT32, _FLOAT64 = 4, 8
PROMPT_TOKENS = 4096  # as data/generate/shared_rows.py has it, which takes torch; a test compares
Row = tuple[str, int, str]


def stage_rows(
    config: Mapping[str, Any],
    missing: Mapping[str, Step],
    shape: Shape | None,
    pair: MeanLengths,
    *,
    each: int,
    gpu: bool,
) -> Iterator[Row]:
    """Yield a row (name, bytes, remark) for each kind of step besides training, with the largest peak of its steps.

    shape: of the run's model, None if unknown. each: bytes of an element of its weights. Samplers without a batch_size
    sample in other processes.
    """
    if shape is not None:
        yield from _scoring(config, missing, shape, each, gpu)
        here = (step for step in of_kind(missing, "generations").values() if "batch_size" in step.inputs["generate"])
        if sampling := [_sampling(step, shape, pair, each) for step in here]:
            yield max(sampling, key=lambda row: row[1])
    if rewarding := list(filter(None, map(_rewarding, of_kind(missing, "rewards").values()))):
        yield max(rewarding, key=lambda row: row[1])


def _scoring(
    config: Mapping[str, Any], missing: Mapping[str, Step], shape: Shape, each: int, gpu: bool
) -> Iterator[Row]:
    from apm_exp.models.score_pairs import token_budget

    lengths = [sum(longest_pair(step.inputs)) for step in of_kind(missing, "logps").values()]
    if lengths:
        tokens = token_budget(component.bind("runtime", config["runtime"])(), lengths)
        yield "scoring", scoring_bytes(shape, each, tokens, gpu), f"before the training, {tokens:,} tokens at a time"


def scoring_bytes(shape: Shape, each: int, tokens: int, gpu: bool) -> int:
    """Weights in the policy's dtype, the widest layer of a full batch of tokens, and a block of logits."""
    return each * shape.parameters + widest_layer(shape, each, tokens) + block_of_logits(shape, tokens, gpu)


def widest_layer(shape: Shape, each: int, tokens: int) -> int:
    """Return the bytes of a layer at its widest.

    These are the MLP's gate, up and product and six rows of the hidden size: the residual, its norm, query, key, value
    and the attention's result.
    """
    return tokens * each * (3 * shape.intermediate + 6 * shape.hidden)


def sampling_bytes(shape: Shape, each: int, rows: int, samples: int, prompt: int, new: int) -> int:
    """Return the bytes of the weights, keys and values, and the larger of a forward of prompts and the drawing.

    The keys and values are those of each prompt once and of every row's own tokens, with room for a quarter more, and
    one layer of them again while rows are exchanged. Drawing has the logits, probabilities and sorted probabilities of
    all rows in float32, and two sums of them in float64.
    """
    prompts, a_token = ceil(rows / samples), cache_bytes(shape, each)
    cache = (prompts * prompt + rows * (new + new // 4)) * a_token
    forward = widest_layer(shape, each, max(prompt, min(PROMPT_TOKENS, prompts * prompt)))
    drawing = (3 * _FLOAT32 + 2 * _FLOAT64) * rows * shape.vocabulary
    return each * shape.parameters + cache + cache // shape.layers + max(forward, drawing)


def _sampling(step: Step, shape: Shape, pair: MeanLengths, each: int) -> Row:
    generate = step.inputs["generate"]
    rows, new, prompt = int(generate.get("batch_size", 1)), most_of(generate) or 0, round(pair[0])
    samples = min(int(generate.get("samples", 1)), rows)
    words = f"generate.batch_size={rows} responses of {new:,} tokens after prompts of {prompt:,}, each prompt once"
    return "sampling", sampling_bytes(shape, each, rows, samples, prompt, new), words


def reward_bytes(shape: Shape, each: int, rows: int, tokens: int) -> int:
    """Return the bytes of the reward model's weights and of the widest layer of its batch."""
    return each * shape.parameters + widest_layer(shape, each, rows * tokens)


def _rewarding(step: Step) -> Row | None:
    node = step.inputs["reward"]
    shape = reward_shape(node)
    if shape is None:
        return None
    each, rows, tokens = (
        4 if node.get("dtype") == "float32" else 2,
        int(node.get("batch_size", 1)),
        ask("reward", node, "longest") or int(node.get("max_length", 4096)),
    )
    tokens += sum(ask("reward", node, "continuations") or ())
    words = f"reward model of {shape.parameters:,} parameters, reward.batch_size={rows} of up to {tokens:,} tokens"
    return "rewards", reward_bytes(shape, each, rows, tokens), words
