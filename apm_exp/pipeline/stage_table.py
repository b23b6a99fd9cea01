"""The table of stages. A new stage is its file and its row here.

`rebuild`, `until`, task=clean, plans, expected times, disk space, the order of the report and the cards use this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.pipeline.flops import Load
from apm_exp.pipeline.stages import (
    evaluate,
    generations,
    logps,
    model,
    pairs,
    prompts,
    rated,
    report,
    reward_page,
    rewards,
    selection,
    train,
)
from apm_exp.pipeline.work import Counts, Work

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """A stage's title and function, and what can be computed for a step of it from the step's inputs.

    title: in the report. run: the function that makes the artifact. bounds: upper bounds of its counts, from those of
    its inputs by key. work: its forward passes and tokens, from its counts or their bounds. flops: the number of
    operations of this work, for a load. grows_with: the counts that its time is proportional to; the first that is
    known is used. resumes_from: a glob pattern of the files from which a killed attempt resumes. progress: how many of
    the first count of grows_with an unfinished attempt in a folder has done. foresee: raises ValueError for errors that
    can be detected before the step is built, from its inputs and the existing artifacts by key. texts: whether its
    table has the texts or tokens of all pairs, which take most of the disk space. bad_rows: the name of its count of
    refused rows.
    """

    title: str
    run: Callable[..., Mapping[str, int | float]]
    bounds: Callable[[Inputs, Mapping[str, Counts]], Counts] = lambda inputs, known: {}
    work: Callable[[Inputs, Counts], Work | None] = lambda inputs, counts: None
    flops: Callable[[Inputs, Counts, Load], float | None] = lambda inputs, counts, load: None
    grows_with: tuple[str, ...] = ()
    resumes_from: str | None = None
    progress: Callable[[Path], int] | None = None
    foresee: Callable[[Inputs, Mapping[str, Artifact]], None] = lambda inputs, built: None
    texts: bool = False
    bad_rows: str | None = None


STAGES = {
    "models": Stage("Building the starting policy", model.model),
    "prompts": Stage(
        "Reading the prompts", prompts.prompts, prompts.bounds, foresee=prompts.foresee, bad_rows="refused"
    ),
    "generations": Stage(
        "Sampling responses",
        generations.generations,
        generations.bounds,
        generations.work,
        generations.flops,
        grows_with=("responses",),
        resumes_from=f"{generations.JOURNAL}/*",
        progress=generations.progress,
        texts=True,
    ),
    "rated": Stage("Reading the rated responses", rated.rated, rated.bounds, texts=True, bad_rows="refused"),
    "rewards": Stage(
        "Rewarding responses",
        rewards.rewards,
        rewards.bounds,
        flops=rewards.flops,
        grows_with=("responses", "pairs"),
        resumes_from="scored/*",
        progress=rewards.progress,
        foresee=rewards.foresee,
    ),
    "pairs": Stage(
        "Reading and checking the pairs",
        pairs.pairs,
        pairs.bounds,
        foresee=pairs.foresee,
        texts=True,
        bad_rows="refused",
    ),
    "logps": Stage(
        "Tokenizing and scoring",
        logps.logps,
        logps.bounds,
        logps.work,
        logps.flops,
        grows_with=("pairs",),
        resumes_from="shards/*",
        progress=logps.progress,
        texts=True,
        bad_rows="refused",
    ),
    "selection": Stage("Selecting the pairs", selection.selection, selection.bounds, foresee=selection.foresee),
    "policy": Stage(
        "Training",
        train.train,
        train.bounds,
        train.work,
        train.flops,
        grows_with=("optimizer_steps",),
        resumes_from="checkpoints/checkpoint-*/COMPLETE",
        progress=train.progress,
        foresee=train.foresee,
    ),
    "evaluation": Stage("Evaluating", evaluate.evaluate, work=evaluate.work, flops=evaluate.flops),
    "reward_page": Stage("Drawing the page of the rewards", reward_page.reward_page),
    "report": Stage("Drawing the report", report.report),
}
