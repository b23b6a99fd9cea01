"""The selections of a sweep's arms: their overlap and their stability."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core import component
from apm_exp.core.pair_ids import PairIds
from apm_exp.core.rounding import NOISE
from apm_exp.core.sorted_parquet import read_column
from apm_exp.core.step_names import last_of
from apm_exp.core.types import PairScores
from apm_exp.report.compare.arms import Arm, Job, steps_of, words
from apm_exp.selection.stability import jaccard, kept_by, under_other_sigmas, under_rounding

User = tuple[Arm, Job, Mapping[str, Any]]  # and the record of the job's last selection


@dataclass(frozen=True)
class Selected:
    """One selection, the last of the first finished job of some arms.

    path: selection.parquet. counts: pairs, kept, refused and within_noise.
    """

    label: str
    path: Path
    counts: Mapping[str, int]
    job: Job


def selections_of(root: Path, arms: list[Arm]) -> list[Selected]:
    """Return each distinct last selection, in the order of the arms."""
    users: dict[str, list[User]] = {}
    for arm in arms:
        job = next((job for job in arm.by_seed.values() if last_of(steps_of(job), "selection")), None)
        if job is not None and (step := last_of(steps_of(job), "selection")):
            users.setdefault(step["key"], []).append((arm, job, step))
    return [_selected(root, used) for used in users.values()]


def _selected(root: Path, used: list[User]) -> Selected:
    _, job, step = used[0]
    path = root / step["folder"] / "selection.parquet"
    return Selected(_label([arm for arm, *_ in used]), path, step["counts"], job)


def _label(arms: list[Arm]) -> str:
    """Return the settings that all of these arms share, or the first arm's label."""
    common = [
        words(key, *values)
        for key, values in arms[0].settings.items()
        if len(values) == 1 and all(arm.settings.get(key) == values for arm in arms)
    ]
    return ", ".join(common) if common and len(arms) > 1 else arms[0].label


def overlaps(selections: list[Selected]) -> np.ndarray:
    """Return the Jaccard indices of all pairs of selections, shape (S, S).

    Memory: a byte per pair for each selection, and the pair_ids of each distinct set of pairs.
    """
    known: list[pa.Array] = []
    kept: list[tuple[int, np.ndarray]] = []
    for one in selections:
        table = pq.read_table(one.path, columns=["pair_id", "kept"])
        ids = table["pair_id"].combine_chunks()
        place = next((number for number, other in enumerate(known) if other.equals(ids)), len(known))
        known += [ids] if place == len(known) else []
        kept.append((place, table["kept"].combine_chunks().to_numpy(zero_copy_only=False).astype(bool)))
    jaccard_SS = np.eye(len(kept))
    for row in range(len(kept)):
        for column in range(row):
            jaccard_SS[row, column] = jaccard_SS[column, row] = _jaccard(known, kept[row], kept[column])
    return jaccard_SS


def _jaccard(known: list[pa.Array], one: tuple[int, np.ndarray], other: tuple[int, np.ndarray]) -> float:
    if one[0] == other[0]:
        return jaccard(one[1], other[1])
    first, second = (known[place].filter(pa.array(kept_P)) for place, kept_P in (one, other))
    both = pc.sum(pc.is_in(first, value_set=second)).as_py() or 0
    return both / (len(first) + len(second) - both)


def stability(selected: Selected) -> dict[str, Any]:
    """Return the stability of a selection: counts, and an Overlap for each kind of perturbation.

    Raises ValueError if the metric or the keep rule no longer exists, OSError if the table is missing.
    """
    component.trust(selected.job.get("trusted_packages") or [])
    node, keep = selected.job["metric"], selected.job["keep"]
    score, rule = component.bind("metric", node), component.bind("keep", keep)
    value_P, kept_P = read_column(selected.path, "value"), read_column(selected.path, "kept").astype(bool)
    given = (score, rule, _scores(selected.path, len(value_P)), value_P, kept_P)
    found: dict[str, Any] = {
        "within_noise": selected.counts["within_noise"],
        "kept": selected.counts["kept"],
        "sigmas": under_other_sigmas(*given),
        "rounding": under_rounding(*given, noise=NOISE["bfloat16"]),
    }
    if node.get("alpha"):
        for name, factor in {"half": 0.5, "double": 2.0}.items():
            other = component.bind("metric", {**node, "alpha": factor * node["alpha"]})
            found[name] = jaccard(kept_P, kept_by(other, rule, given[2]))
    return found


def _scores(path: Path, pairs: int) -> PairScores:
    explicit_P = read_column(path, "explicit_margin")
    known_P = None if np.isnan(explicit_P).all() else explicit_P
    return PairScores(PairIds(path, pairs), known_P, read_column(path, "implicit_margin"))
