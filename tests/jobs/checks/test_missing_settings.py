"""A setting that an option's file lacks is said with the file and the line, since Hydra takes no name that it lacks."""

from typing import Any

import pytest

from apm_exp.jobs.checks.missing_settings import say_where
from apm_exp.jobs.request import Request


def request(command: str = "python -m apm_exp", **config: Any) -> Request:
    choices = {"dataset": "tsv", "metric": "mine", "adapter": "lora", "evals": "[a,b]"}
    return Request("run", config, choices, [], command, "0")


def missing(*names: str) -> str:
    return " | ".join(f"{name} is missing: give {name}=VALUE" for name in names)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            missing("dataset.limit", "dataset.holdout", "dataset.delimiter"),
            "dataset=tsv: dataset/tsv.yaml lacks limit, holdout, delimiter; "
            "add to it: limit: null; holdout: auto; delimiter: VALUE",
        ),
        (
            f"{missing('metric.weight')} | metric.x=1: no such setting; it takes no settings",
            "metric=mine: metric/mine.yaml lacks weight; add to it: weight: VALUE | metric.x=1: no such setting; "
            "it takes no settings",
        ),
        (missing("model.adapter.r"), "adapter=lora: adapter/lora.yaml lacks r; add to it: r: VALUE"),
        (missing("evals.b.n"), "evals=b: evals/b.yaml lacks n; add to it: n: VALUE"),
        (missing("other.n"), "other: lacks n; give them with +, as +other.n=VALUE"),
        ("alpha=-1: must be positive", "alpha=-1: must be positive"),
    ],
)
def test_the_file_and_the_lines(problem: str, said: str) -> None:
    assert say_where(problem, request()) == said


def test_the_users_own_folder_is_named() -> None:
    said = say_where(missing("metric.weight"), request("python -m apm_exp --config-dir '/my conf' metric=mine"))
    assert said.startswith("metric=mine: /my conf/metric/mine.yaml lacks weight; ")
