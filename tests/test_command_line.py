"""What is refused before Hydra starts, with the hint that mends it."""

import pytest

from apm_exp.command_line import UsageLine, help_text, options_of, prepare


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("metric.alpha=2.5", "metric.alpha=2.5: alpha is set at the top; write alpha=2.5"),
        ("alpha=[]", "alpha=[]: an empty list of values; give at least one, as alpha=VALUE"),
        ("alpha=", "alpha=: an empty list of values; give at least one, as alpha=VALUE"),
        (
            "sweeps=alpha,gamma_beta",
            "sweeps=alpha,gamma_beta: one study a command; run them one after another",
        ),
        ("metric=null", "metric=null: not an option; choose metric= one of explicit, "),
        ("loss=1.5", "loss=1.5: not an option; choose loss= one of "),
        ("++hydra.foo=1", "++hydra.foo=1: Hydra's settings are fixed names; leave out the +"),
        (
            "loss.gamma=5",
            "loss.gamma=5: SimPO's margin has one spelling here; gamma = gamma_beta_ratio * beta; ",
        ),
        (
            "hyperparameters=typo",
            "hyperparameters=typo: not chosen by name; they follow from model, dataset, loss and adapter",
        ),
        ("model_dataset_defaults=typo", "model_dataset_defaults=typo: not chosen by name; they follow from model, "),
        ("loss_defaults=typo", "loss_defaults=typo: not chosen by name; they follow from model, "),
        (
            "+tracking.api_key=abcdef",
            "tracking.api_key=...: looks like a secret; give credentials by environment only",
        ),
        ("model.path=hf_abcdefghijkl", "model.path=...: looks like a secret; "),
        ("~metric", "~metric: a group cannot be left out; choose metric= one of explicit, "),
        ("~evals=held_out_pairs", "~evals: a group cannot be left out; choose evals= one of held_out_pairs, "),
        ("trainer.args.hub_token=abc", "trainer.args.hub_token=...: looks like a secret; "),
    ],
)
def test_refused_with_a_remedy(argument: str, message: str) -> None:
    with pytest.raises(UsageLine) as caught:
        prepare([argument])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "argument",
    [
        "generate.max_new_tokens=24",
        "tokens=simpo_2024",
        "runtime.tokens_per_batch=512",
        "tokens.max_length=64",
        "metric.gamma=1",
    ],
)
def test_settings_of_users_and_about_tokens_are_let_through(argument: str) -> None:
    assert prepare([argument]) == [argument]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model.adapter=lora", "adapter=lora"),
        ("model.adapter=none,lora", "adapter=none,lora"),
        ("model.adapter.rank=8", "adapter.rank=8"),
        ("+model.adapter.more=1", "+adapter.more=1"),
        ("adapter=qlora", "adapter=qlora"),
        ("model.adapters=1", "model.adapters=1"),
    ],
)
def test_the_models_adapter_is_a_group_of_its_own(typed: str, meant: str) -> None:
    assert prepare([typed]) == [meant]


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(UsageLine) as caught:
        prepare(["model.path=hf_abcdefghijkl"])
    assert "abcdefghijkl" not in str(caught.value)


def test_the_multirun_flag_comes_first() -> None:
    assert prepare(["metric=map", "-m", "alpha=1,2"]) == ["-m", "metric=map", "alpha=1,2"]


def test_help_lists_every_option_of_every_group() -> None:
    text = help_text()
    for group in ("dataset", "model", "metric", "keep", "loss", "sweeps", "experiment"):
        assert options_of(group), group
        for option in options_of(group):
            assert option in text


def test_flags_may_stand_between_settings() -> None:
    assert prepare(["alpha=1", "--config-dir", "mine", "seed=2"]) == ["--config-dir", "mine", "alpha=1", "seed=2"]
    assert prepare(["alpha=1", "--cfg", "job", "seed=2"]) == ["--cfg", "job", "alpha=1", "seed=2"]


def test_a_configuration_is_shown_of_one_job() -> None:
    with pytest.raises(UsageLine) as caught:
        prepare(["alpha=1,2", "--cfg", "job", "-m"])
    assert str(caught.value) == "--cfg: shows one job; leave out -m and give one value a setting"
