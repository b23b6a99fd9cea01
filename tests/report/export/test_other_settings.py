"""What is typed beside task=export must be the run's own."""

import pytest

from apm_exp.core.errors import UsageError
from apm_exp.report.export.finished_run import FinishedRun
from apm_exp.report.export.other_settings import check_settings_of, typed_settings

MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": 2.5}
RUN = FinishedRun("r1", {"alpha": 2.5, "metric": MAP, "dataset": {"path": "a.jsonl"}}, "", {})


def typed(*overrides: str, **changes: object) -> dict[str, object]:
    return typed_settings(overrides, {"task": "export", "run": "latest", **RUN.config, **changes})


def test_the_runs_own_settings_pass() -> None:
    given = typed("task=export", "run=latest", "export.path=x", "alpha=2.5", "metric=map", "dataset.path=a.jsonl")
    assert given == {"alpha": 2.5, "metric": "map", "dataset.path": "a.jsonl"}
    check_settings_of(RUN, given)


@pytest.mark.parametrize(
    ("override", "changes", "message"),
    [
        (
            "alpha=3",
            {"alpha": 3},
            "alpha=3: run r1 has alpha=2.5; remove it, or choose another run with run=",
        ),
        (
            "metric=explicit",
            {"metric": {"_target_": "apm_exp.selection.metrics.explicit.explicit_reward_margin"}},
            "metric=explicit: run r1 has metric=map; remove it, ",
        ),
        ("+loss.beta=1", {"loss": {"beta": 1}}, "loss.beta=1: run r1 has loss.beta=(none); "),
    ],
)
def test_others_are_refused_with_the_runs_own(override: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_settings_of(RUN, typed(override, **changes))
    assert str(caught.value).startswith(message)
