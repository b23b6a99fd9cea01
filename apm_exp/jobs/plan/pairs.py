"""The number and lengths of a run's pairs, as far as they are known before the pairs are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import DONE
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.core.step_names import of_kind
from apm_exp.core.told import ask
from apm_exp.data.sources.count import count_rows
from apm_exp.data.sources.holdout import holdout_of
from apm_exp.pipeline.flops import ASSUMED, MeanLengths
from apm_exp.pipeline.performed import mean_pair
from apm_exp.pipeline.stages.logps import longest_pair
from apm_exp.pipeline.step import Step, read_done
from apm_exp.pipeline.work import Counts


@dataclass(frozen=True)
class Pairs:
    """mean: the lengths of a mean pair, tokens. how: where they are from, in words; None if they are counted.
    held_out: pairs that are not trained on, None if unknown.
    """

    mean: MeanLengths
    how: str | None
    held_out: float | None


def about_counts(step: Step, config: Mapping[str, Any]) -> Counts:
    """Return about how many rows a step reads of a data set that is not here; nothing if nobody knows."""
    if step.kind == "pairs" and step.inputs["sampled"] is None:
        return _about_pairs(config["dataset"])
    if step.kind == "prompts":
        rows = _about_pairs({**step.inputs["dataset"], "limit": step.inputs["limit"]}).get("train")
        return {} if rows is None else {"rows": rows, "prompts": rows}
    return {}


def _about_pairs(dataset: Mapping[str, Any]) -> Counts:
    train, held_out = ask("dataset", dataset, "about_rows") or (None, None)
    return {} if train is None else {"pairs": train + (held_out or 0), "train": train}


def pairs_of(config: Mapping[str, Any], steps: Mapping[str, Step], known: Mapping[str, Counts]) -> Pairs:
    """Return the known lengths and numbers of a job's pairs. known: the counts of its steps by key."""
    held_out = _held_out(config, steps, known)
    scored = next(iter(of_kind(steps, "logps").values()), None)
    if scored is not None and read_done(scored) is not None and (mean := mean_pair(scored.folder)):
        return Pairs(mean, None, held_out)
    if config["runtime"].get("plan_pair"):
        prompt, chosen, rejected = config["runtime"]["plan_pair"]
        return Pairs((prompt, chosen, rejected), "runtime.plan_pair", held_out)
    if scored is not None and (before := _before(scored)):
        return Pairs(before, "as those scored here before", held_out)
    told = ask("dataset", config["dataset"], "mean_pair")
    mean = told or ASSUMED
    how = "as the data set tells" if told else "assumed"
    mean = _within_limits(mean, scored) if scored is not None else mean
    return Pairs(mean, f"{how}; runtime.plan_pair=[{','.join(f'{each:.0f}' for each in mean)}] sets others", held_out)


def _within_limits(mean: MeanLengths, scored: Step) -> MeanLengths:
    """Return a mean pair, as far as the tokens' limits leave room for it."""
    tokens, (_, response, _) = scored.inputs["tokens"], longest_pair(scored.inputs)
    longest = int(tokens["max_length"]) - 1
    prompt, chosen, rejected = mean
    room = min(prompt, longest, int(tokens.get("max_prompt_length", longest)))
    return room, min(chosen, response), min(rejected, response)


def _before(step: Step) -> MeanLengths | None:
    """Return the mean pair of the newest scoring of the same data set and model, as their names are."""
    folder = step.root / step.kind
    found = [path for path in folder.glob(f"{step.slug}-*/done") if path.parent.name[:-9] == step.slug]
    for path in sorted(found, key=_time, reverse=True):
        try:
            pair = (read_sealed(path, *DONE).get("performed") or {}).get("pair")
        except (Damaged, OSError):
            continue
        if pair:
            return pair[0], pair[1], pair[2]
    return None


def _time(path: Path) -> float:
    return path.stat().st_mtime


def _held_out(config: Mapping[str, Any], steps: Mapping[str, Step], known: Mapping[str, Counts]) -> float | None:
    about = _about_pairs(config["dataset"])
    if about and config["dataset"].get("holdout_split"):
        return about["pairs"] - about["train"]
    rows = next((known[step.key].get("pairs") for step in of_kind(steps, "pairs").values()), None)
    rows = rows if rows is not None else count_rows(config["dataset"])
    return None if rows is None else rows * holdout_of(config["dataset"], config["until"])
