import pytest

from apm_exp.models.loading import check_attention, of_transformers, without_kernels


def test_attention_of_pairs_leaves_the_loading_to_transformers() -> None:
    assert [of_transformers(name) for name in ("auto", "segments", "flex", "sdpa")] == [None, None, None, "sdpa"]


@pytest.mark.parametrize("name", ["auto", "segments", "sdpa", "eager"])
def test_what_every_device_has(name: str) -> None:
    check_attention(name, "cpu")


@pytest.mark.parametrize("name", ["flex", "flash_attention_2", "typo"])
def test_what_a_cpu_lacks(name: str) -> None:
    expected = rf"^model.attention={name}: not available on cpu; choose from: auto, segments, sdpa, eager$"
    with pytest.raises(ValueError, match=expected):
        check_attention(name, "cpu")
    check_attention(name, "cuda:0")


def test_a_plan_for_another_machine_needs_no_kernels_of_an_attention_that_exists() -> None:
    names = ("flash_attention_2", "flex_attention", "org/kernel", "auto", "flash_atention_2")
    assert [without_kernels(name) for name in names] == ["auto", "auto", "auto", "auto", "flash_atention_2"]
