"""A training step, side by side: `python -m tests.benchmarks.training_step` prints tables and bars and writes JSON.

Forward, DPO loss with the reference's log-probs given, and backward, in batches of 4 pairs; no optimizer, whose step is
the same for all. Ours, TRL's DPOTrainer and padded full logits take the same batches with the same weights in turn,
after one run that is not timed. On a CPU each has a process of its own, for its times and for its peak memory, which
is with gradients.
"""

import argparse
import random
from functools import partial

from torch import Tensor
from transformers import LlamaForCausalLM

from apm_exp.core.types import TokenizedPair
from tests.benchmarks.bars import bars
from tests.benchmarks.contenders import PADDED, Contender, shared_columns
from tests.benchmarks.differences import gradient_difference, per_token_difference
from tests.benchmarks.model_shape import SHAPES, random_llama
from tests.benchmarks.run import run
from tests.benchmarks.scoring_methods import scoring_method
from tests.benchmarks.table import Row
from tests.benchmarks.training_methods import Reference, StepResult, training_method
from tests.benchmarks.work import step_flops

GPU_SHARE = {"llama_1b": 0.40}  # of the matrix peak: the aim
OWN = ("largest difference of a gradient, relative", "gradient difference", 1e-4, False)


def compare(options: argparse.Namespace, pairs: list[TokenizedPair], contenders: list[Contender]) -> dict[str, Row]:
    """One row a contender, by its label."""
    shape = SHAPES[options.shape]
    models = {dtype: random_llama(shape, dtype, options.device) for dtype in {c.dtype for c in contenders}}
    reference = drawn_reference(models[contenders[-1].dtype], pairs)
    works = {c.label: partial(training_method(c.method, models[c.dtype]), pairs, reference) for c in contenders}
    numbers = _differences(works, {c.label: models[c.dtype] for c in contenders}, pairs)
    makes = {c.label: partial(_work_of_its_own, c, options.shape, pairs, reference) for c in contenders}
    if options.device == "cuda":
        makes = {c.label: partial(_without_gradients, models[c.dtype], works[c.label]) for c in contenders}
    rows = shared_columns(options, pairs, contenders, works, makes, step_flops(shape, pairs))
    return {label: row | numbers[label] for label, row in rows.items()}


def drawn_reference(model: LlamaForCausalLM, pairs: list[TokenizedPair]) -> Reference:
    """The model's own log-probs, each moved by a draw of 5 nats: another policy's, so that losses differ."""
    draw = random.Random(0)
    own_P2 = scoring_method(PADDED, model, 0)(pairs).tolist()
    return [(chosen + draw.gauss(0, 5), rejected + draw.gauss(0, 5)) for chosen, rejected in own_P2]


def _differences(
    works: dict[str, partial], models: dict[str, LlamaForCausalLM], pairs: list[TokenizedPair]
) -> dict[str, Row]:
    """How far the numbers of each work are from those of the last one, which is run first."""
    *others, last = works
    expected: StepResult = works[last]()
    gradient = _gradient(models[last])
    rows: dict[str, Row] = {last: _difference(expected, expected, gradient, gradient, pairs)}
    for label in others:
        result = works[label]()
        rows[label] = _difference(result, expected, _gradient(models[label]), gradient, pairs)
    return rows


def _difference(
    result: StepResult, expected: StepResult, gradient: list[Tensor], wanted: list[Tensor], pairs: list[TokenizedPair]
) -> Row:
    """A method that shows only its loss (TRL's) has no log-probs to compare."""
    logps = None
    if result.logps is not None and expected.logps is not None:
        logps = per_token_difference(result.logps, expected.logps, pairs)
    return {
        "logp difference": logps,
        "loss difference": max(abs(a - b) for a, b in zip(result.losses, expected.losses, strict=True)),
        "gradient difference": gradient_difference(gradient, wanted),
    }


def _gradient(model: LlamaForCausalLM) -> list[Tensor]:
    gradients = (parameter.grad for parameter in model.parameters())
    return [gradient.clone() for gradient in gradients if gradient is not None]


def _without_gradients(model: LlamaForCausalLM, work: partial) -> partial:
    """The work that is there, as it is before a first step."""
    model.zero_grad(set_to_none=True)
    return work


def _work_of_its_own(contender: Contender, shape: str, pairs: list[TokenizedPair], reference: Reference) -> partial:
    model = random_llama(SHAPES[shape], contender.dtype, "cpu")
    return partial(training_method(contender.method, model), pairs, reference)


if __name__ == "__main__":
    run("training_step", __doc__.splitlines()[0], compare, partial(bars, peer="TRL DPO", gpu_share=GPU_SHARE, own=OWN))
