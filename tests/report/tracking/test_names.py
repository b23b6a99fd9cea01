"""Settings and scores have names that can be plotted as they are."""

from apm_exp.report.tracking.names import score_summary, settings_at_top, top_name
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
        **{"gain": 0.68, "gain_low": 0.64, "gain_high": 0.72, "gain_standard_error": 0.02, "gain_n": 40},
    }
    assert score_summary({"gain": SCORE | {"prompts": 10}})["gain_prompts"] == 10
