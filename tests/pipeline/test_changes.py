"""Other settings for one iteration."""

from typing import Any

import pytest

from apm_exp.pipeline.changes import changed_configs, with_changes

CONFIG: dict[str, Any] = {
    "iterations": 3,
    "seed": 0,
    "trainer": {"learning_rate": 8e-7, "epochs": 1},
    "metric": {"alpha": 2.5},
    "pipeline": {"changes": {3: {"trainer.learning_rate": 3e-7, "seed": 1}}},
}


def test_only_what_is_named_is_changed() -> None:
    (changed,) = changed_configs(CONFIG).values()
    assert changed["trainer"] == {"learning_rate": 3e-7, "epochs": 1}
    assert changed["seed"] == 1
    assert changed["metric"] is CONFIG["metric"]
    assert CONFIG["trainer"]["learning_rate"] == 8e-7
    assert changed_configs({**CONFIG, "pipeline": {"changes": None}}) == changed_configs({"pipeline": {}}) == {}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"trainer.lerning_rate": 1},
            r"^pipeline\.changes: trainer\.lerning_rate=1: no such setting; did you mean 'lea",
        ),
        ({"trainer.epochs.x": 1}, r"^pipeline\.changes: trainer\.epochs\.x=1: no such setting"),
        ({"alpha": 1}, r"^pipeline\.changes: alpha=1: not a setting of one iteration.*write metric\.alpha$"),
        ({"model.path": "x"}, r"^pipeline\.changes: model\.path=x: not a setting of one iteration"),
    ],
)
def test_settings_that_there_are_not(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        with_changes(CONFIG, changes)


def test_a_run_that_does_not_reach_the_iteration_may_name_it() -> None:
    assert set(changed_configs({**CONFIG, "iterations": 1})) == {3}


@pytest.mark.parametrize("changes", [{"trainer.learning_rate": 1e-4}, {0: {"seed": 1}}, {2: 1e-4}])
def test_what_is_not_by_iterations_is_told_how_it_is_written(changes: dict[Any, Any]) -> None:
    message = (
        r"^pipeline\.changes: .*: must be settings by the number of an iteration; write 'pipeline\.changes=\{3: \{"
    )
    with pytest.raises(ValueError, match=message):
        changed_configs({**CONFIG, "pipeline": {"changes": changes}})
