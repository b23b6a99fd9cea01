"""The limits that scoring and the training step have in common."""

import argparse

from tests.benchmarks.contenders import BFLOAT16, LONG, OURS, PADDED, REAL, TRL
from tests.benchmarks.run import Tables
from tests.benchmarks.table import Bar

Own = tuple[str, str, float, bool]


def bars(options: argparse.Namespace, tables: Tables, *, peer: str, gpu_share: dict[str, float], own: Own) -> list[Bar]:
    """The results that have a limit: all of them on a CPU, the share of the peak on a GPU.

    peer: what TRL's row is called. gpu_share: the share of the matrix peak that a shape aims at. own: the bar that the
    other benchmark does not have: what, the column of our row, the limit, whether at least that.
    """
    if BFLOAT16 in tables:
        ratio = tables[BFLOAT16]["float32"]["times ours"]
        return [Bar("bfloat16 against our own float32, times as fast", ratio, 1.5, True)]
    ours, trl, padded = (tables[REAL][name] for name in (OURS, TRL, PADDED))
    if options.device == "cuda":
        limits = [gpu_share[options.shape]] if options.shape in gpu_share else []
        return [Bar("share of the matrix peak", ours["share of peak"], limit, True) for limit in limits]
    what, column, limit, at_least = own
    return [
        Bar(f"against {peer}, times as fast", trl["times ours"], 3.0, True),
        Bar("against padded full logits, times as fast", padded["times ours"], 2.3, True),
        Bar(what, ours[column], limit, at_least),
        Bar("largest difference of a mean token log-prob, nats", ours["logp difference"], 1e-5, False),
        Bar("peak memory, share of padded", ours["of the last row"], 1 / 3, False),
        Bar("long shared prompts against padded, times as fast", tables[LONG][PADDED]["times ours"], 3.5, True),
    ]
