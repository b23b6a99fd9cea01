"""What a workspace's panels plot: the names, and where a run has to have them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.offline_run import OfflineRun

Named = tuple[str, str]


def written_workspace(path: Path) -> dict[str, Any]:
    """The section of a view that holds panels and runs, from the file that apm-exp-dashboard has written."""
    return json.loads(path.read_text())["spec"]["section"]


def names(section: dict[str, Any]) -> set[Named]:
    """(config, summary, history, table or column, name) of everything that panels and pinned columns show."""
    pinned = section["runSets"][0]["runFeed"]["columnOrder"]
    found = {_accessor(column) for column in pinned if column != "run:displayName"}
    for part in section["panelBankConfig"]["sections"]:
        for panel in part["panels"]:
            found |= set(_NAMES_OF[panel["viewType"]](panel["config"]))
    return found


def known(run: OfflineRun, folder: Path) -> set[Named]:
    """What a run has logged, in the same words. folder: of the run's record."""
    found = {("config", name) for name in run.config} | {("summary", name) for name in run.summary}
    found |= {("history", name) for row in run.history for name in row}
    for path in folder.rglob("media/table/**/*.table.json"):
        _, _, place = path.parent.as_posix().partition("media/table")
        name = path.name.split(".")[0].rsplit("_", 2)[0]
        found.add(("table", f"{place.strip('/')}/{name}".strip("/")))
        found |= {("column", name) for name in json.loads(path.read_text())["columns"]}
    return found


def _accessor(text: str) -> Named:
    """`config:alpha.value` and `summary:win_rate`."""
    where, _, name = text.partition(":")
    return where, name.removesuffix(".value")


def _scatter(config: dict[str, Any]) -> Iterator[Named]:
    yield from (_accessor(config["xAxis"]), _accessor(config["yAxis"]))


def _bars(config: dict[str, Any]) -> Iterator[Named]:
    yield from (("summary", metric.removeprefix("summary_metrics.")) for metric in config["metrics"])
    if "groupBy" in config:
        yield "config", config["groupBy"].removesuffix(".value")


def _parallel(config: dict[str, Any]) -> Iterator[Named]:
    yield from (_accessor(column["accessor"]) for column in config["columns"])


def _lines(config: dict[str, Any]) -> Iterator[Named]:
    yield from (("history", metric) for metric in (*config["metrics"], config["xAxis"]))


def _custom(config: dict[str, Any]) -> Iterator[Named]:
    (runs,) = config["userQuery"]["queryFields"]
    (table,) = (field for field in runs["fields"] if field["name"] == "summaryTable")
    yield from (("table", argument["value"]) for argument in table["args"] if argument["name"] == "tableKey")
    yield from (("column", name) for name in config["fieldSettings"].values())


def _table(config: dict[str, Any]) -> Iterator[Named]:
    yield "table", config["panel2Config"]["exp"]["fromOp"]["inputs"]["key"]["val"]


_NAMES_OF = {
    "Scatter Plot": _scatter,
    "Bar Chart": _bars,
    "Parallel Coordinates Plot": _parallel,
    "Run History Line Plot": _lines,
    "Vega2": _custom,
    "Weave": _table,
}
