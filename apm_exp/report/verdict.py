"""The verdict on one run: its result, the question that one run leaves open, and the command that answers it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.component import name_of
from apm_exp.core.told import told
from apm_exp.report.scores import Records, brief, headline_name, interval_level
from apm_exp.selection.keep.preflight import goes_by_ids

RANDOM = "uniform"
SEEDS = 3
_REPLACED = ("metric", "seed", "task", "run", "export", "clean", "until", "rebuild", "baseline", "sweeps")
_SYMBOLS = {"map": "M_AP"}  # the paper's; not in the metric's file, whose digest is in the key of every selection
_NOT_FROM_ONE = "is not known from one run"


@dataclass(frozen=True)
class Verdict:
    """known: a run's first score, or that it has none. unknown: what one run leaves open. command: finds it out."""

    known: str
    unknown: str
    command: str | None

    def __str__(self) -> str:
        return f"{self.known}; {self.unknown}" + (f": {self.command}" if self.command else "")


def verdict(
    config: Mapping[str, Any], option: str, command: str, made: Mapping[str, Artifact], scores: Mapping[str, Records]
) -> Verdict:
    """Return the verdict on a run that has selected pairs.

    option: what was chosen for metric=. command: the line that was typed. made: the selection, its rewards and the
    policy that was trained on it, if one was. scores: of the evaluations by name.
    """
    nodes = config.get("evals") or {}
    known = first_score(scores, nodes) or _without_score("policy" in made, nodes)
    unknown, metrics = _unknown(config, option, made)
    words = shlex.split(command)[3:]
    own = next(
        (word for word in words if _group(word) == "metric" and not word.lstrip("+").startswith("metric=")), None
    )
    if own and metrics:
        remedy = "to compare it, save it as an option of your own (docs/extending.md)"
        return Verdict(known, f"{unknown}; {own} is a setting of metric={option} alone: {remedy}", None)
    if metrics is None:
        return Verdict(known, unknown, None)
    seeds = ",".join(str(int(config["seed"]) + number) for number in range(SEEDS))
    others: list[str] = [] if nodes else ["evals=held_out_pairs"]
    replaced: tuple[str, ...] = _REPLACED
    if told("keep", config["keep"], "most_kept") is None:  # how many it keeps depends on the metric's unit
        replaced, others = (*_REPLACED, "keep"), ["keep=top_k", f"keep.k={made['selection'].counts['kept']}", *others]
    typed = [word for word in words if _group(word) not in replaced]
    line = ["-m", f"metric={','.join(metrics)}", f"seed={seeds}", *typed, *others]
    return Verdict(known, unknown, shlex.join(["python", "-m", "apm_exp", *line]))


def first_score(scores: Mapping[str, Records], nodes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the first score of the first evaluation that has any, in words; None if there is none. nodes: `evals`."""
    first = next(((name, records) for name, records in scores.items() if records), None)
    if first is None:
        return None
    evaluation, records = first
    return brief(headline_name(records), records, interval_level(nodes.get(evaluation, {})))


def _without_score(trained: bool, nodes: Mapping[str, Any]) -> str:
    if not trained:
        return "nothing was trained"
    return "trained, but too few items were held out for a score" if nodes else "trained, but not evaluated"


def _unknown(config: Mapping[str, Any], option: str, made: Mapping[str, Artifact]) -> tuple[str, list[str] | None]:
    """Return the open question, in words, and the metrics that a comparison sweeps; None if it would show nothing."""
    if goes_by_ids(config["keep"]):
        return f"keep={name_of(config['keep'])} names the pairs, so the metric chose none", None
    counts = made["selection"].counts
    if counts["kept"] == counts["pairs"]:
        return "all pairs were kept, so the metric chose none", None
    if option == RANDOM:
        other = "implicit" if made["rewards"].counts.get("unrewarded") else "map"
        return f"these pairs were chosen at random; whether a metric does better {_NOT_FROM_ONE}", [other, RANDOM]
    return f"whether {_SYMBOLS.get(option, option)} beat random selection {_NOT_FROM_ONE}", [option, RANDOM]


def _group(word: str) -> str:
    """Return the first part of a setting's name; "" for a flag or its value."""
    name, equals, _ = word.partition("=")
    return name.lstrip("+~").partition(".")[0] if equals and not word.startswith("-") else ""
