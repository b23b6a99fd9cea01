"""The panels of the W&B workspace, from the names that runs are logged under (apm_exp.report.tracking.names)."""

from collections.abc import Sequence

import wandb_workspaces.reports.v2 as panels

from apm_exp.report.tracking.names import SAMPLE

SWEPT = ("alpha", "gamma_beta_ratio")  # settings with a section of curves
TRAINING = {  # keys of metrics.jsonl, which has more -> title
    "loss": "Loss",
    "rewards/margins": "Reward margin",
    "rewards/accuracies": "Share of pairs with a positive margin",
    "chosen_logp": "Chosen log-prob, nats a token",
    "rejected_logp": "Rejected log-prob, nats a token",
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
}


def curves(setting: str, scores: Sequence[str]) -> list[panels.ScatterPlot | panels.BarPlot]:
    """A setting against each score: a dot a run, and the mean with its standard error over the runs of a value."""
    dots = [
        panels.ScatterPlot(title=f"{score} by {setting}", x=panels.Config(setting), y=panels.SummaryMetric(score))
        for score in scores
    ]
    means = [
        panels.BarPlot(
            title=f"mean {score} by {setting}, with standard error over runs",
            metrics=[panels.SummaryMetric(score)],
            groupby=panels.Config(setting),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
        )
        for score in scores
    ]
    return [*dots, *means]


def parallel(swept: Sequence[str], scores: Sequence[str]) -> list[panels.ParallelCoordinatesPlot]:
    """A line a run through its swept settings to each of its scores: one plot a score."""
    settings = [panels.ParallelCoordinatesPlotColumn(metric=panels.Config(name)) for name in swept]
    return [
        panels.ParallelCoordinatesPlot(
            title=f"settings and {score}",
            columns=[*settings, panels.ParallelCoordinatesPlotColumn(metric=panels.SummaryMetric(score))],
        )
        for score in scores
    ]


def training() -> list[panels.LinePlot]:
    """What metrics.jsonl has, over steps."""
    return [panels.LinePlot(title=title, x="Step", y=[name]) for name, title in TRAINING.items()]


def selection() -> list[panels.CustomChart | panels.BarPlot | panels.WeavePanelSummaryTable]:
    """A dot a pair of the sample, explicit margin against implicit; the sample as a table; the counts."""
    scatter = panels.CustomChart(
        query={"summaryTable": {"tableKey": SAMPLE}},
        chart_name="wandb/scatter/v0",  # what wandb.plot.scatter uses
        chart_fields={"x": "implicit_margin", "y": "explicit_margin"},
        chart_strings={"title": "Explicit margin against implicit margin (nats a token)"},
    )
    counts = panels.BarPlot(title="Pairs kept", metrics=[panels.SummaryMetric("selection_kept")])
    return [scatter, panels.WeavePanelSummaryTable(table_name=SAMPLE), counts]
