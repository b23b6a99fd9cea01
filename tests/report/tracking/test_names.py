"""Settings and scores have names that can be plotted as they are."""

from apm_exp.report.tracking.names import own_settings, run_name, score_summary, settings_at_top, top_name, train_row
from tests.report.tracking.jobs import CHOICES, CONFIG, SCORE


def test_swept_settings_are_numbers_and_swept_groups_are_names() -> None:
    config = CONFIG | {"keep": {"fraction": 0.25}}
    top = settings_at_top(config, CHOICES | {"keep": "top_fraction"}, ["keep.fraction", "runtime", "loss"])
    assert top == {
        **{"metric_name": "map", "loss_name": "simpo", "trainer_name": "pairs", "model_name": "local"},
        **{"keep_name": "top_fraction", "runtime_name": "cpu", "keep_fraction": 0.25},
        **{"alpha": 2.5, "beta": 10.0, "gamma_beta_ratio": 0.5, "learning_rate": 1e-6},
    }


def test_what_a_metric_and_a_loss_do_not_have_is_null() -> None:
    config = CONFIG | {"metric": {"_target_": "uniform", "seed": 0}, "loss": {"_target_": "dpo", "beta": 0.1}}
    top = settings_at_top(config, CHOICES, ["alpha"])
    assert (top["alpha"], top["gamma_beta_ratio"], top["beta"]) == (None, None, 0.1)


def test_the_name_of_a_setting_as_it_is_typed() -> None:
    names = {"alpha": "alpha", "metric": "metric_name", "loss.beta": "beta", "keep.fraction": "keep_fraction"}
    assert {setting: top_name(setting) for setting in names} == names


def test_a_score_has_its_interval_beside_it() -> None:
    assert score_summary({"gain": SCORE}) == {
        **{"eval/gain": 0.68, "eval/gain_low": 0.64, "eval/gain_high": 0.72},
        **{"eval/gain_standard_error": 0.02, "eval/gain_n": 40},
    }
    assert score_summary({"gain": SCORE | {"prompts": 10}})["eval/gain_prompts"] == 10
    assert score_summary({"gain": SCORE | {"of": "policy against ..."}})["eval/gain_of"] == "policy against ..."


def test_a_row_has_the_names_of_trls_runs() -> None:
    row = {"step": 3, "loss": 0.5, "rewards/margins": 0.1}
    assert train_row(row) == {"train/global_step": 3, "train/loss": 0.5, "train/rewards/margins": 0.1}


def test_a_run_has_a_short_name() -> None:
    folder = "20261126-035000-dpo-map-alpha1-local-0a1b2c"
    assert run_name({"loss.beta": "0.1", "seed": "1"}, folder) == "beta=0.1 seed=1"
    assert run_name({}, folder) == "dpo-map-alpha1-local"
    assert run_name({}, "run") == "run"


def test_settings_of_other_tasks_are_not_those_of_a_run() -> None:
    given = {"export": {"push": None}, "clean": {"delete": False}, "task": "run", "loss": {"beta": 0.1}, "seed": 1}
    assert own_settings(given) == {"loss": {"beta": 0.1}, "seed": 1}
