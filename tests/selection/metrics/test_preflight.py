import pytest

from apm_exp.selection.metrics.preflight import check_metric

MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "rescale": True}


def test_an_alpha_that_no_double_can_hold_times_a_margin_is_refused() -> None:
    check_metric(MAP | {"alpha": 1e6})
    with pytest.raises(
        ValueError, match=r"^alpha=1e\+308: the value of a pair .* is not finite; set a smaller number$"
    ):
        check_metric(MAP | {"alpha": 1e308})
