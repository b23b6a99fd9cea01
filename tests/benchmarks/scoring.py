"""Scoring pairs, side by side: `python -m tests.benchmarks.scoring` prints tables and bars and writes scoring.json.

Ours, TRL's reference pass (batches of 8 pairs) and a padded forward with full logits (batches of 4) score the same
tokens with the same weights in turn, after one run that is not timed. On a CPU each has a process of its own, for its
times and for its peak memory: how ours keeps freed memory would change the peers too.
"""

import argparse
from functools import partial

from apm_exp.core.types import TokenizedPair
from tests.benchmarks.bars import bars
from tests.benchmarks.contenders import Contender, shared_columns
from tests.benchmarks.differences import per_token_difference
from tests.benchmarks.model_shape import SHAPES, random_llama
from tests.benchmarks.run import run
from tests.benchmarks.scoring_methods import scoring_method
from tests.benchmarks.table import Row
from tests.benchmarks.work import forward_flops

GPU_SHARE = {"llama3_8b": 0.55}  # of the matrix peak: the aim
OWN = ("share of the matrix peak", "share of peak", 0.80, True)


def compare(options: argparse.Namespace, pairs: list[TokenizedPair], contenders: list[Contender]) -> dict[str, Row]:
    """One row a contender, by its label."""
    shape, budget = SHAPES[options.shape], options.tokens_per_batch
    models = {dtype: random_llama(shape, dtype, options.device) for dtype in {c.dtype for c in contenders}}
    works = {c.label: partial(scoring_method(c.method, models[c.dtype], budget), pairs) for c in contenders}
    scored_P2 = {label: work() for label, work in works.items()}
    makes = {c.label: partial(_work_of_its_own, c, options.shape, budget, pairs) for c in contenders}
    if options.device == "cuda":
        makes = {label: partial(partial, work) for label, work in works.items()}
    rows = shared_columns(options, pairs, contenders, works, makes, forward_flops(shape, pairs))
    for label, logps_P2 in scored_P2.items():
        rows[label]["logp difference"] = per_token_difference(logps_P2, scored_P2[contenders[-1].label], pairs)
    return rows


def _work_of_its_own(
    contender: Contender, shape: str, tokens_per_batch: int | None, pairs: list[TokenizedPair]
) -> partial:
    model = random_llama(SHAPES[shape], contender.dtype, "cpu")
    return partial(scoring_method(contender.method, model, tokens_per_batch), pairs)


if __name__ == "__main__":
    run("scoring", __doc__.splitlines()[0], compare, partial(bars, peer="TRL", gpu_share=GPU_SHARE, own=OWN))
