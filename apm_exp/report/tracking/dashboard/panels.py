"""The panels of the W&B workspace, from the names under which runs are logged (apm_exp.report.tracking.names)."""

from collections.abc import Sequence

import wandb_workspaces.reports.v2 as panels

from apm_exp.report.tracking.names import EVAL, SAMPLE, SELECTION, TRAIN

SWEPT = ("alpha", "gamma_beta_ratio")  # settings with a section of curves
TRAINING = {  # keys of metrics.jsonl to show -> title
    "loss": "Loss",
    "rewards/margins": "Reward margin",
    "rewards/accuracies": "Share of pairs with a positive margin",
    "chosen_logp": "Chosen log-prob, nats per token",
    "rejected_logp": "Rejected log-prob, nats per token",
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
}


def curves(setting: str, scores: Sequence[str]) -> list[panels.ScatterPlot | panels.BarPlot]:
    """Return plots of a setting against each score: a dot per run, and the mean with its standard error per value."""
    dots = [
        panels.ScatterPlot(
            title=f"{score} by {setting}", x=panels.Config(setting), y=panels.SummaryMetric(f"{EVAL}{score}")
        )
        for score in scores
    ]
    means = [
        panels.BarPlot(
            title=f"mean {score} by {setting}, with standard error over runs",
            metrics=[panels.SummaryMetric(f"{EVAL}{score}")],
            groupby=panels.Config(setting),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
        )
        for score in scores
    ]
    return [*dots, *means]


def parallel(swept: Sequence[str], scores: Sequence[str]) -> list[panels.ParallelCoordinatesPlot]:
    """Return one parallel-coordinates plot per score, with a line per run through its swept settings to the score."""
    settings = [panels.ParallelCoordinatesPlotColumn(metric=panels.Config(name)) for name in swept]
    return [
        panels.ParallelCoordinatesPlot(
            title=f"settings and {score}",
            columns=[*settings, panels.ParallelCoordinatesPlotColumn(metric=panels.SummaryMetric(f"{EVAL}{score}"))],
        )
        for score in scores
    ]


def training() -> list[panels.LinePlot]:
    """Return plots of the metrics in metrics.jsonl over optimizer steps."""
    return [panels.LinePlot(title=title, x="Step", y=[f"{TRAIN}{name}"]) for name, title in TRAINING.items()]


def selection() -> list[panels.CustomChart | panels.BarPlot | panels.WeavePanelSummaryTable]:
    """Return a scatter plot of the sampled pairs (explicit against implicit margin), their table, and the counts."""
    scatter = panels.CustomChart(
        query={"summaryTable": {"tableKey": SAMPLE}},
        chart_name="wandb/scatter/v0",  # the chart of wandb.plot.scatter
        chart_fields={"x": "implicit_margin", "y": "explicit_margin"},
        chart_strings={"title": "Explicit margin against implicit margin (nats per token)"},
    )
    counts = panels.BarPlot(title="Pairs kept", metrics=[panels.SummaryMetric(f"{SELECTION}kept")])
    return [scatter, panels.WeavePanelSummaryTable(table_name=SAMPLE), counts]
