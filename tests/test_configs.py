"""Every configuration that ships composes, and every node of it fits the function that it names."""

import itertools
import os
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from apm_exp.cli.arguments import _FOLLOWING
from apm_exp.core.conf import conf_folder, options_of
from apm_exp.data.sources.holdout import holdout_of
from apm_exp.jobs.checks.preflight import check_inputs
from apm_exp.jobs.checks.settings import check_config
from apm_exp.pipeline.graph import Choices

CONF = conf_folder()
os.environ["APM_EXP_CONF"] = str(CONF)
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and list(path.glob("*.yaml")))
INDEPENDENT = [group for group in GROUPS if group not in ("experiment", "sweeps", "loss_defaults")]
REQUIRED = {
    "dataset.path": "pairs.jsonl",
    "model.path": "folder",
    "reward.path": "folder",
    "keep.k": "10",
    "keep.path": "ids.txt",
    "reward._target_": "apm_exp.data.rewards.recorded.recorded",
    "reward.reference.path": "sft",
    "generate.endpoint.url": "https://127.0.0.1/v1",
    "generate.endpoint.model": "name",
    "reward.endpoint.url": "https://127.0.0.1/v1",
    "reward.endpoint.model": "name",
}


def compose(*overrides: str) -> dict[str, Any]:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose("config", list(overrides))
    for key, value in REQUIRED.items():
        place, _, name = key.rpartition(".")
        node = OmegaConf.select(composed, place)
        if node and OmegaConf.is_missing(node, name):
            node[name] = int(value) if value.isdigit() else value
    config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def model_for(group: str, option: str) -> list[str]:
    """What an option cannot do without: a model, or the sources of a mixture."""
    if (group, option) == ("reward", "mixture"):
        return [f"+reward@reward.sources.{name}=micro_world" for name in ("first", "second")]
    needs_model = group == "dataset" and option in ("jsonl", "hub")
    return ["model=local"] if needs_model else []


@pytest.mark.parametrize(("group", "option"), [(g, o) for g in INDEPENDENT for o in options_of(g)])
def test_every_option_composes_and_fits_its_function(group: str, option: str) -> None:
    check_config(compose(f"{group}={option}", *model_for(group, option)))


@pytest.mark.parametrize("name", options_of("experiment"))
def test_every_experiment_composes(name: str) -> None:
    check_config(compose(f"experiment={name}"))


@pytest.mark.parametrize("name", options_of("experiment"))
def test_a_recipe_ranks_all_of_the_training_split(name: str) -> None:
    dataset = compose(f"experiment={name}")["dataset"]
    assert (dataset["split"], dataset["holdout_split"], holdout_of(dataset, None)) == ("train", "test", 0)


def test_a_held_out_split_of_others_responses_is_refused_beside_samples_of_ones_own(tmp_path: Path) -> None:
    chosen = ("dataset=llama3_ultrafeedback", "pipeline=on_policy", f"output_root={tmp_path}", "runtime=cpu")
    with pytest.raises(
        ValueError, match=r"^dataset\.holdout_split=test: its responses are not sampled by this pipeline"
    ):
        check_inputs(compose(*chosen))
    check_inputs(compose(*chosen, "dataset.holdout_split=null", "reward=classifier"))


@pytest.mark.parametrize("name", options_of("sweeps"))
def test_every_sweep_composes(name: str) -> None:
    check_config(compose(f"sweeps={name}"))


@pytest.mark.parametrize(
    ("study", "key", "group"),
    [("metrics", "metric", "metric"), ("losses", "loss", "loss"), ("table3", "experiment", "experiment")],
)
def test_a_study_of_all_options_has_each(study: str, key: str, group: str) -> None:
    swept = OmegaConf.load(CONF / "sweeps" / f"{study}.yaml").hydra.sweeper.params[key]
    assert sorted(swept.split(",")) == options_of(group)


def test_compare_holds_each_metric_as_its_own_file_has_it() -> None:
    compared = compose("alpha=3", "seed=4")["compare"]
    assert {"map", "explicit", "implicit", "uniform", "m1", "m_plus"} <= set(compared)
    for name, node in compared.items():
        assert node == compose(f"metric={name}", "alpha=3", "seed=4")["metric"]


TABLE_3 = {  # learning rate, beta, gamma/beta, alpha (paper, Table 3 and Appendix D.1)
    ("gemma2_9b_it", "gemma2_ultrafeedback_armorm", "simpo"): (8e-7, 10.0, 0.5, 2.5),
    ("gemma2_9b_it", "gemma2_ultrafeedback_armorm", "dpo"): (5e-7, 0.01, None, 2.5),
    ("llama3_8b_instruct", "llama3_ultrafeedback_armorm", "simpo"): (1e-6, 10.0, 0.3, 2.5),
    ("llama3_8b_instruct", "llama3_ultrafeedback", "simpo"): (1e-6, 2.5, 0.55, 1.0),
}


@pytest.mark.parametrize("choice", TABLE_3)
def test_the_papers_settings_come_by_themselves(choice: tuple[str, str, str]) -> None:
    model, dataset, loss = choice
    config = compose(f"model={model}", f"dataset={dataset}", f"loss={loss}")
    learning_rate, beta, ratio, alpha = TABLE_3[choice]
    assert config["trainer"]["learning_rate"] == learning_rate
    assert config["loss"]["beta"] == beta
    assert config["loss"].get("gamma_beta_ratio") == ratio
    assert config["metric"]["alpha"] == alpha
    common = {"global_batch": 128, "epochs": 1, "warmup_ratio": 0.1, "lr_scheduler": "cosine"}
    assert {key: config["trainer"][key] for key in common} == common
    assert (config["tokens"]["max_length"], config["tokens"]["max_prompt_length"]) == (2048, 1800)


ALPHA = {  # Section 3.2 (Appendix D.1)
    ("gemma2_9b_it", "gemma2_ultrafeedback_armorm"): 2.5,
    ("llama3_8b_instruct", "llama3_ultrafeedback_armorm"): 2.5,
    ("llama3_8b_instruct", "llama3_ultrafeedback"): 1.0,
}
MAY_SET_ALPHA = {"config.yaml", "model_defaults", "model_dataset_defaults", "experiment", "sweeps"}


def alpha_of(model: str, dataset: str) -> float:
    """The paper's own, the micro world's, else 1."""
    return ALPHA.get((model, dataset), 0.25 if model == "micro_world" else 1.0)


def test_no_file_that_depends_on_the_loss_sets_alpha() -> None:
    for path in CONF.rglob("*.yaml"):
        text = path.read_text()
        if "@package _global_" in text and "alpha" in OmegaConf.load(path):
            assert path.relative_to(CONF).parts[0] in MAY_SET_ALPHA, path
    assert not any("@package" in path.read_text() for path in (CONF / "loss").glob("*.yaml"))


@pytest.mark.parametrize("loss", ["dpo", "simpo", "alpha_dpo", "ipo"])  # with files of their own and without
@pytest.mark.parametrize(("model", "dataset"), ALPHA)
def test_every_loss_selects_the_same_pairs(model: str, dataset: str, loss: str) -> None:
    config = compose(f"model={model}", f"dataset={dataset}", f"loss={loss}")
    assert config["alpha"] == config["metric"]["alpha"] == ALPHA[model, dataset]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", options_of("dataset"))
@pytest.mark.parametrize("model", [name for name in options_of("model") if name != "none"])
def test_alpha_belongs_to_model_and_data_set_whatever_the_loss(model: str, dataset: str) -> None:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = [[f"model={model}", f"dataset={dataset}", f"loss={loss}"] for loss in options_of("loss")]
        alphas = {hydra.compose("config", overrides).alpha for overrides in chosen}
    assert alphas == {alpha_of(model, dataset)}


ALPHA_DPO = {  # learning rate, beta, gamma/beta, alpha: its release, commit fab3209
    ("gemma2_9b_it", "gemma2_ultrafeedback_armorm"): (8e-7, 10.0, 0.4, 0.05),
    ("llama3_8b_instruct", "llama3_ultrafeedback_armorm"): (1e-6, 10.0, 0.4, 0.2),
    ("llama3_8b_instruct", "llama3_ultrafeedback"): (1e-6, 2.5, 0.6, 0.2),
}


@pytest.mark.parametrize(("model", "dataset"), ALPHA_DPO)
def test_alpha_dpo_takes_its_releases_values(model: str, dataset: str) -> None:
    config = compose(f"model={model}", f"dataset={dataset}", "loss=alpha_dpo")
    values = [config["loss"][name] for name in ("beta", "gamma_beta_ratio", "alpha")]
    assert (config["trainer"]["learning_rate"], *values) == ALPHA_DPO[model, dataset]
    assert config["hyperparameters"].startswith("alpha-DPO release, values of ")


def test_the_command_line_wins_over_the_experiment_and_it_over_the_settings() -> None:
    by_default = compose("experiment=section_3_2_gemma_simpo")
    assert (by_default["trainer"]["learning_rate"], by_default["reward"]["margin"]) == (8e-7, "max_min")
    assert by_default["trainer"]["max_grad_norm"] is None
    typed = compose(
        "experiment=section_3_2_gemma_simpo",
        "trainer.learning_rate=1e-5",
        "reward.margin=chosen_minus_rejected",
    )
    assert (typed["trainer"]["learning_rate"], typed["reward"]["margin"]) == (1e-5, "chosen_minus_rejected")


def test_a_combination_without_an_entry_takes_the_losses_defaults_and_says_so() -> None:
    config = compose("model=gemma2_9b_it", "dataset=llama3_ultrafeedback", "loss=simpo")
    assert config["hyperparameters"].endswith("there are no others for this model and dataset")
    assert config["trainer"]["learning_rate"] == 1e-6


@pytest.mark.parametrize("adapter", ["lora", "qlora"])
def test_an_adapter_brings_a_higher_learning_rate(adapter: str) -> None:
    def rate(*overrides: str) -> float:
        return float(compose(*overrides)["trainer"]["learning_rate"])

    paper = ("model=llama3_8b_instruct", "dataset=llama3_ultrafeedback")
    for chosen, times in ((paper, 10), (("model=micro_world",), 5), (("model=tiny_from_data",), 5)):
        assert rate(*chosen, f"adapter={adapter}") == pytest.approx(times * rate(*chosen), rel=0.5), chosen
        assert rate(*chosen, f"adapter={adapter}", "trainer.learning_rate=3e-4") == 3e-4


def test_every_value_of_every_yaml_has_a_comment() -> None:
    bare = []
    for path in itertools.chain(CONF.rglob("*.yaml"), Path(CONF / "sweeps").glob("*.yaml")):
        bare += [f"{path.relative_to(CONF)}: {line.strip()}" for line in uncommented_values(path.read_text())]
    assert bare == []


def uncommented_values(text: str) -> list[str]:
    """Lines that set a value, without a comment on them or on the line above."""
    lines = text.splitlines()
    found = []
    inside_defaults = False
    for number, line in enumerate(lines):
        inside_defaults = line.startswith("defaults:") or (inside_defaults and line.startswith((" ", "-")))
        sets_value = ":" in line and not line.lstrip().startswith(("#", "-")) and not line.rstrip().endswith(":")
        commented = "#" in line or (number > 0 and lines[number - 1].lstrip().startswith("#"))
        if sets_value and not commented and not inside_defaults and "_target_" not in line:
            found.append(line)
    return found


def test_a_group_that_follows_from_others_is_chosen_by_nobody() -> None:
    following = {str(path.name) for path in CONF.iterdir() if path.name.endswith("_defaults")}
    assert following == set(_FOLLOWING)


def test_choices_name_groups_that_exist() -> None:
    assert set(Choices.__dataclass_fields__) <= set(GROUPS)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compare.map=null", r"^compare\.map=null: must be settings by name, with a _target_; use ~compare\.map to"),
        ("+compare.mine=3", r"^compare\.mine=3: must be settings by name"),
        ("+evals.mine=[1]", r"^evals\.mine=\[1\]: must be settings by name"),
    ],
)
def test_what_is_named_in_a_group_of_several_is_a_node(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(compose("dataset=jsonl", "model=local", override))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=jsonl", "model=tiny_from_data", "model.heads=3"], r"^model\.hidden=\d+: not a multiple of 2 \* "),
        (["model.hidden=17"], r"^model\.hidden=17: not a multiple of 2 \* model\.heads="),
        (["dataset=hub", "model=local", "dataset.path="], r"^dataset\.path=: string should have at least 1 character"),
    ],
)
def test_what_a_step_would_refuse_is_refused_before_any(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(compose(*overrides))
