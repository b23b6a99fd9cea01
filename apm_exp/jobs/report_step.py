"""The last step of a job: its page."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.errors import one_line
from apm_exp.core.step_names import last_of, of_kind
from apm_exp.jobs.record import export_command
from apm_exp.jobs.request import Request
from apm_exp.jobs.run_record import point
from apm_exp.models.loading import in_key
from apm_exp.pipeline.build import build, wants_rebuild
from apm_exp.pipeline.nodes import HOW, without
from apm_exp.pipeline.recipes.self_play import ALL
from apm_exp.pipeline.resolve import resolve_dtype
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.stages.report import report
from apm_exp.pipeline.step import Step
from apm_exp.runtime.provenance import provenance

logger = logging.getLogger(__name__)

Config = Mapping[str, Any]
_WHICH = ("task", "clean", "run", "export", "rebuild", "until", "baseline")  # what is done of a job, or with it


def report_step(
    config: Config,
    steps: Mapping[str, Step],
    *,
    command: str,
    provenance: dict[str, Any],
    metric_option: str,
    run: str = "",
    reused: Sequence[str] = (),
) -> Step:
    """Return the page on a run that has selected its pairs, or also trained on them.

    What is only shown (command, provenance, name of the run, how it was run) does not make another report: a run that
    shares all steps with another also shares its page, and exports the same pairs. metric_option: what was chosen for
    metric=. reused: the names of the steps that the run has not built.
    """
    shown = shown_steps(steps)
    settings = {name: value for name, value in config.items() if name not in (*_WHICH, *HOW)}
    model = config["model"]
    loaded = {"dtype": resolve_dtype(model["dtype"], config["runtime"]), "attention": in_key(model["attention"])}
    settings |= {"dataset": without(config["dataset"], "on_bad_row"), "model": {**model, **loaded}}
    inputs = {"steps": dict(steps), "shown": shown, "config": settings, "compare": config["compare"] or {}}
    how = {name: config[name] for name in (*HOW, "dataset", "model")}
    titles = {kind: stage.title for kind, stage in STAGES.items()}
    export = export_command(run, config["output_root"])
    beside = {"how": how, "export": export, "command": command, "provenance": provenance, "titles": titles}
    beside |= {"metric_option": metric_option, "reused": reused}
    last = shown.get("policy", shown["selection"])
    return Step("report", "", last.slug, report, inputs, last.root, last.digests, beside)


def shown_steps(steps: Mapping[str, Step]) -> dict[str, Step]:
    """Return the steps that the page shows: the last selection that leaves pairs out, and what it was made of.

    If none is meant to, that of the last part of the last training, or the last selection. response_rewards: those of
    the sampled responses that the pairs were made of.
    """
    policy, selections = last_of(steps, "policy"), [*of_kind(steps, "selection").values()]
    last = policy.inputs["parts"][-1]["selection"] if policy else selections[-1]
    selection = next((step for step in reversed(selections) if step.inputs["keep"] != ALL), last)
    made_of = {name: selection.inputs[name] for name in ("pairs", "rewards", "logps")}
    if sampled := made_of["pairs"].inputs.get("sampled"):
        made_of["response_rewards"] = sampled["rewards"]
    return made_of | {"selection": selection} | ({"policy": policy} if policy else {})


def draw_page(request: Request, steps: Mapping[str, Step], folder: Path, reused: Sequence[str] = ()) -> Artifact | None:
    """Return the page of a job, linked from its run's folder; None, with a warning, if it cannot be drawn.

    What was selected, trained and evaluated stands. reused: see report_step.
    """
    try:
        step = report_step(
            request.config,
            steps,
            command=request.command,
            provenance=provenance(),
            metric_option=request.choices["metric"],
            run=folder.name,
            reused=reused,
        )
        point(folder / "report", step.folder)
        return build(step, rebuild=wants_rebuild(request.config, step), command=request.command_id)
    except Exception as error:
        remedy = "the same command draws it again"
        logger.warning("the page could not be drawn, the result stands: %s; %s", one_line(error), remedy)
        return None
