"""The reason of each pair, from numbers made by hand."""

import numpy as np
import pyarrow as pa

from apm_exp.report.reason import reasons

MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": 2.0}
UNIFORM = {"_target_": "apm_exp.selection.metrics.uniform.uniform", "seed": 0}


def rows(**more: list[float]) -> pa.Table:
    margins = {"explicit_margin": [4.2, -1.0, 0.0], "implicit_margin": [0.1, -0.35, -0.001]}
    return pa.table({**margins, "kept": [True, False, False], **more})


def test_margins_are_in_sigmas_and_signed() -> None:
    terms = {"explicit_term": [0.0] * 3, "implicit_term": [0.0] * 3}
    found = [*reasons(rows(**terms), MAP | {"rescale": True}, (2.0, 0.5), np.array([1, 2, 3]), 3)]
    assert found == [
        "kept: reward sees 2.1 sigma, policy 0.2",
        "not kept: reward sees -0.5 sigma, policy -0.7",
        "not kept: reward sees 0.0 sigma, policy 0.0",
    ]
    found = [*reasons(rows(**terms), MAP | {"rescale": False}, (2.0, 0.5), np.array([1, 2, 3]), 3)]
    assert found[0] == "kept: reward sees 4.2 reward units, policy 0.1 nats per token"
    constant = [*reasons(rows(**terms), MAP | {"rescale": True}, (0.0, 0.5), np.array([1, 2, 3]), 3)]
    assert constant[0] == "kept: reward sees 0.0 sigma, policy 0.2"


def test_a_metric_without_terms_has_the_rank() -> None:
    found = [*reasons(rows(), UNIFORM, (2.0, 0.5), np.array([1, 3, 1200]), 3000)]
    assert found[0] == "kept: rank 1 of 3,000 by uniform"
    assert found[2] == "not kept: rank 1,200 of 3,000 by uniform"
