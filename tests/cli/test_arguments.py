"""What is refused before Hydra starts, with the hint that mends it."""

import re
from pathlib import Path

import pytest

from apm_exp.cli.arguments import UsageLine, prepare
from apm_exp.cli.help import help_text
from apm_exp.core.conf import options_of


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("metric.alpha=2.5", "metric.alpha=2.5: alpha is a top-level setting; write alpha=2.5"),
        ("alpha=[]", "alpha=[]: an empty list of values; give at least one, as alpha=VALUE"),
        ("alpha=", "alpha=: an empty list of values; give at least one, as alpha=VALUE"),
        (
            "sweeps=alpha,gamma_beta",
            "sweeps=alpha,gamma_beta: one study per command; run them one after another",
        ),
        ("metric=null", "metric=null: not an option; choose metric= one of explicit, "),
        (
            "generate=[1]",
            "generate=[1]: not an option; choose generate= one of micro_world, openai, transformers, vllm",
        ),
        (
            "generate=1e308",
            "generate=1e308: not an option; choose generate= one of micro_world, openai, transformers, vllm",
        ),
        ("metric=''", "metric='': not an option; choose metric= one of explicit, "),
        ("hydra.run.dir=x", "hydra.run.dir=x: Hydra writes no files here; set output_root=FOLDER for all"),
        ("hydra.job.chdir=true", "hydra.job.chdir=true: Hydra writes no files here; set output_root=FOLDER"),
        ("--resolve", "--resolve: only changes what --cfg prints; write --cfg job --resolve"),
        ("--experimental-rerun", "--experimental-rerun: no such flag; flags: --help, "),
        ("--cfg", "--cfg: a value must follow, as --cfg job"),
        ("--cfg=zzz", "--cfg zzz: no such value; choose from: all, hydra, job"),
        ("--config-dir", "--config-dir: a value must follow, as --config-dir NAME"),
        ("--config-dir=/nope", "--config-dir /nope: no such folder; give the folder that contains your configuration"),
        ("--multirun=3", "--multirun=3: --multirun takes no value; write --multirun"),
        ("--help=x", "--help=x: --help takes no value; write --help"),
        ("--shell-completion", "--shell-completion: a subcommand must follow, as -sc install=bash"),
        (
            "hydra.searchpath=[/nope]",
            "hydra.searchpath=[/nope]: there is no folder /nope; give folders with your own options",
        ),
        (
            "hydra.callbacks={}",
            "hydra.callbacks={}: the jobs of a multirun are checked by a callback, which cannot be changed;",
        ),
        ("~hydra.callbacks.check_jobs", "~hydra.callbacks.check_jobs: Hydra's own settings cannot be deleted"),
        ("dataset=", "dataset=: not an option; choose dataset= one of "),
        ("+keep=top_k", "+keep=top_k: keep already has an option; to replace it, write keep=top_k"),
        ("", "'': an empty argument; remove it"),
        ("=2", "=2: no setting is named; write NAME=2, without spaces around ="),
        ("alpha", "alpha: a setting without a value; write alpha=VALUE, without spaces around ="),
        ("alpha:2", "alpha:2: a setting without a value; write alpha=2"),
        ("alpha = 2", "alpha = 2: a space before =; write alpha=2"),
        ("+++alpha=2", "+++alpha=2: a name can only be preceded by +, ++ or ~; write alpha=2"),
        ("~~alpha", "~~alpha: a name can only be preceded by +, ++ or ~; "),
        ("loss=1.5", "loss=1.5: not an option; choose loss= one of "),
        ("++hydra.foo=1", "++hydra.foo=1: Hydra's settings have fixed names; remove the +"),
        (
            "hyperparameters=typo",
            "hyperparameters=typo: not chosen by name; they are derived from model, dataset, loss and adapter",
        ),
        (
            "model_dataset_defaults=typo",
            "model_dataset_defaults=typo: not chosen by name; they are derived from model, ",
        ),
        ("loss_defaults=typo", "loss_defaults=typo: not chosen by name; they are derived from model, "),
        (
            "+tracking.api_key=abcdef",
            "tracking.api_key=...: looks like a secret; pass credentials only as environment variables",
        ),
        ("model.path=hf_AbCdEfGhIjKlMnOpQrStUvWx", "model.path=...: looks like a secret; "),
        ("~metric", "~metric: a group cannot be deleted; choose metric= one of explicit, "),
        ("~evals=held_out_pairs", "~evals: a group cannot be deleted; choose evals= one of held_out_pairs, "),
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
        prepare(["model.path=hf_AbCdEfGhIjKlMnOpQrStUvWx"])
    assert "AbCdEf" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (["alpha=1", "alpha=2"], "alpha"),
        (["-m", "alpha=1,2", "alpha=3"], "alpha"),
        (["metric=map", "loss=simpo", "metric=m1"], "metric"),
        (["alpha=1", "++alpha=1"], "alpha"),
        (["+trainer.args.x=1", "+trainer.args.x=2"], "trainer.args.x"),
        (["hydra.verbose=true", "hydra.verbose=false"], "hydra.verbose"),
        (["hydra/launcher=joblib", "hydra/launcher=slurm"], "hydra/launcher"),
        (["model.adapter=lora", "adapter=none"], "adapter"),
        (["hydra.launcher.additional_parameters.x=1", "++hydra.launcher.additional_parameters.x=2"], None),
    ],
)
def test_one_setting_with_two_values_is_refused_with_both(typed: list[str], name: str | None) -> None:
    settings = [argument for argument in typed if argument != "-m"]
    name = name or settings[0].partition("=")[0]
    with pytest.raises(
        UsageLine, match=rf"{re.escape(settings[-1])}: {re.escape(name)} is given twice; remove"
    ) as line:
        prepare(typed)
    assert settings[0].partition(".")[2] in str(line.value)


def test_the_very_same_once_more_changes_nothing() -> None:
    assert prepare(["-m", "alpha=1,2", "seed=0", "alpha=1,2"]) == ["-m", "alpha=1,2", "seed=0"]


def test_what_is_taken_out_may_be_put_in_anew() -> None:
    typed = ["~evals.win_rate", "+evals.win_rate={}", "metric.a=1", "metric.b=1"]
    assert prepare(typed) == typed


def test_the_multirun_flag_comes_first() -> None:
    assert prepare(["metric=map", "-m", "alpha=1,2"]) == ["-m", "metric=map", "alpha=1,2"]


def test_help_lists_every_option_of_every_group() -> None:
    text = help_text()
    for group in ("dataset", "model", "metric", "keep", "loss", "sweeps", "experiment"):
        assert options_of(group), group
        for option in options_of(group):
            assert option in text


def test_nothing_typed_is_a_command() -> None:
    assert prepare([]) == []


def test_flags_that_ask_for_different_things_are_refused() -> None:
    with pytest.raises(UsageLine, match=r"^--cfg --info: these flags exclude each other; use one of them$"):
        prepare(["--info", "all", "--cfg", "job"])
    with pytest.raises(UsageLine, match=r"^--run --multirun: these flags exclude each other; "):
        prepare(["-r", "-m"])


def test_the_value_of_info_may_be_left_out() -> None:
    assert prepare(["--info", "alpha=1"]) == ["--info=all", "alpha=1"]
    assert prepare(["alpha=1", "-i"]) == ["--info=all", "alpha=1"]
    assert prepare(["-i", "defaults", "alpha=1"]) == ["-i", "defaults", "alpha=1"]


def test_hydras_help_takes_no_settings() -> None:
    assert prepare(["alpha=1", "--hydra-help"]) == ["--hydra-help"]


def test_flags_may_stand_between_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert prepare(["alpha=1", "--config-dir", "mine", "seed=2"]) == ["--config-dir", "mine", "alpha=1", "seed=2"]
    assert prepare(["alpha=1", "--cfg", "job", "seed=2"]) == ["--cfg", "job", "alpha=1", "seed=2"]


def test_a_configuration_is_shown_of_one_job() -> None:
    with pytest.raises(UsageLine) as caught:
        prepare(["alpha=1,2", "--cfg", "job", "-m"])
    assert str(caught.value) == "--cfg: shows one job; remove -m and give one value per setting"


@pytest.mark.parametrize("flags", [["--config-dir", "mine"], ["-cd", "mine"], ["--config-dir=mine"]])
def test_an_own_option_with_the_name_of_one_that_ships_is_refused(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra would take the one that ships."""
    (tmp_path / "mine" / "metric").mkdir(parents=True)
    (tmp_path / "mine" / "metric" / "my_map.yaml").write_text("_target_: x")
    monkeypatch.chdir(tmp_path)
    assert prepare([*flags, "alpha=1"]) == [*flags, "alpha=1"]
    (tmp_path / "mine" / "metric" / "map.yaml").write_text("_target_: x")
    with pytest.raises(
        UsageLine, match=r"^mine/metric/map.yaml: has the same name as an option that is shipped, .*my_map.yaml$"
    ):
        prepare([*flags, "alpha=1"])
    with pytest.raises(UsageLine, match=r"metric/map.yaml: has the same name as an option that is shipped"):
        prepare([f"hydra.searchpath=[file://{tmp_path}/mine]"])


def test_an_own_option_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageLine, match=r"mine.yaml: not UTF-8 \(byte 0\); save it as UTF-8$"):
        prepare(["--config-dir", str(tmp_path)])
