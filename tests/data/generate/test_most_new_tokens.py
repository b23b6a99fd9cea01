import pytest

from apm_exp.data.generate.most_new_tokens import most_new_tokens, most_of


@pytest.mark.parametrize(
    ("setting", "positions", "most"),
    [(24, 8192, 24), (None, 8192, 2048), (None, 1024, 512), (None, None, 2048), (9000, 8192, 9000)],
)
def test_without_a_setting_half_of_the_models_tokens_are_for_a_response(setting, positions, most):
    assert most_new_tokens(setting, positions) == most


def test_a_plan_reads_the_bound_of_a_node():
    assert most_of({"max_new_tokens": 24}) == 24
    assert most_of({"max_new_tokens": None}) == 2048
    assert most_of({"samples": 2}) is None
