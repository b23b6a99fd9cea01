"""The last step of a job: its page."""

from collections.abc import Mapping
from typing import Any

from apm_exp.artifact import Step
from apm_exp.pipeline import CHECKPOINTS, HOW, without
from apm_exp.stages.report import report

Config = Mapping[str, Any]
_WHICH = ("task", "clean", "run", "export", "rebuild", "until", "baseline")  # what is done of a job, or with it


def report_step(config: Config, steps: Mapping[str, Step], *, command: str, provenance: dict[str, Any]) -> Step:
    """The page on a run that has selected its pairs, or also trained on them.

    What is only shown (command, provenance, how it was run) does not make another report.
    """
    last = steps["policy" if "policy" in steps else "selection"]
    names = ("models", "generations", "pairs", "rewards", "logps", "selection", "policy")
    inputs: dict[str, Any] = {name: steps.get(name) for name in names}
    prefix = "evaluation_"
    inputs["evaluations"] = {n.removeprefix(prefix): s for n, s in steps.items() if n.startswith(prefix)}
    trainer = without(config["trainer"], *CHECKPOINTS)
    settings = {name: value for name, value in config.items() if name not in (*_WHICH, *HOW)}
    inputs |= {"config": {**settings, "trainer": trainer}, "compare": config["compare"]}
    how = {name: config[name] for name in (*HOW, "trainer")}
    beside = {"how": how, "command": command, "provenance": provenance}
    return Step("report", last.slug, report, inputs, last.root, last.digests, beside)
