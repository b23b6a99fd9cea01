"""Stage: score the training pairs with a metric, and mark those that the keep rule keeps."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.pair_ids import PairIds
from apm_exp.core.rounding import NOISE
from apm_exp.core.sorted_parquet import rows_of_split, write_tables
from apm_exp.core.split import Split, train_split
from apm_exp.core.types import MissingRewards, PairScores
from apm_exp.pipeline.step import read_done
from apm_exp.pipeline.work import Counts
from apm_exp.selection.alpha_rules.choose import rule_name, with_chosen_number
from apm_exp.selection.apply_keep_rule import keep_rows
from apm_exp.selection.margins import explicit_margin
from apm_exp.selection.metric_columns import REWARDS, metric_columns, rewards_asked_for
from apm_exp.selection.noise import said_of_rounding, selection_within_noise
from apm_exp.selection.pair_scores import read_pair_scores
from apm_exp.selection.rewarded import write_rewarded

VERSION = 4  # 4: the hold-out is an input
logger = logging.getLogger(__name__)


def selection(
    out: Path,
    *,
    pairs: Artifact,
    logps: Artifact,
    rewards: Artifact,
    holdout: float,
    rewarded_only: bool,
    margin: str,
    dtype: str,
    metric: dict[str, Any],
    keep: dict[str, Any],
) -> dict[str, int | float]:
    """Write selection.parquet: margins, the metric's columns and `kept` of every scored training pair.

    Rows are sorted by pair_id, as in the inputs. holdout: the share of the prompts whose pairs are not ranked.
    rewarded_only: whether pairs without rewards are left out if other pairs have rewards; if it is false and any pair
    lacks rewards, the metric receives no rewards. dtype: the one in which the log-probs were computed. If alpha in
    `metric` is the node of an alpha rule, the rule chooses alpha from these pairs.

    Counts: pairs (ranked), kept, refused (training pairs without log-probs, listed by the logps stage, and pairs that
    are left out), within_noise (kept pairs that rounding of the log-probs could replace), and alpha if a rule has
    chosen it. Raises MissingRewards if the metric needs rewards and there are none, and ValueError for margins that are
    not finite, a keep rule that keeps nothing, or an alpha rule that cannot choose.

    Files are read and written in parts, and pair_ids are never all in memory. The metric receives whole arrays, which
    need 57 bytes per pair for `map` with its temporaries, 67 if the rule `balanced` searches alpha, and 90 if the
    metric is evaluated again for within_noise. The keep rule reads and writes files (see `keep_rows`), with 11 to 19
    bytes per pair. While it runs, a second copy of the result is on disk.
    """
    split = train_split(pairs, holdout)
    scored, selected = out / ".scored.partial", out / "selection.parquet"
    rewarded = out / ".rewarded.partial"
    try:
        source, known = logps.path / "logps.parquet", _known_rewards(rewards, rewarded_only=rewarded_only)
        if known and rewards.counts.get("unrewarded"):
            write_rewarded(source, known, split, rewarded)
            source = rewarded
        refused, used = _write_scored(scored, pairs, source, known, split, margin, metric, keep)
        kept = keep_rows(scored, selected, keep)
    finally:
        scored.unlink(missing_ok=True)
        rewarded.unlink(missing_ok=True)
    loose = selection_within_noise(selected, used, keep, NOISE[dtype])
    logger.info("kept %d of %d pairs; their lowest value is %.6g", kept.kept, kept.pairs, kept.cut)
    if loose:
        logger.info("%s", said_of_rounding(loose, dtype))
    counts: dict[str, int | float] = {"pairs": kept.pairs, "kept": kept.kept, "refused": refused, "within_noise": loose}
    return counts if used == metric else counts | {"alpha": used["alpha"]}


def _known_rewards(rewards: Artifact, *, rewarded_only: bool) -> Path | None:
    """Return the file of the rewards; None if no pair has any, or if some have none and may not be left out."""
    without = rewards.counts.get("unrewarded", 0)
    if without == rewards.counts["pairs"] or (without and not rewarded_only):
        return None
    return rewards.path / "rewards.parquet"


def _write_scored(
    path: Path,
    pairs: Artifact,
    logps: Path,
    rewards: Path | None,
    split: Split,
    margin: str,
    metric: Mapping[str, Any],
    keep: Mapping[str, Any],
) -> tuple[int, dict[str, Any]]:
    """Write the columns of selection.parquet except `kept`.

    Returns the number of refused training pairs, and the metric's node with the number that was used for alpha.
    """
    component.check("reward", {"margin": margin}, (explicit_margin,))
    known = rows_of_split(pairs.path / "pairs.parquet", split)
    scores = read_pair_scores(pairs.path / "pairs.parquet", logps, rewards, split, margin)
    if not len(scores.pair_id_P):
        remedy = "give more rows, a smaller dataset.holdout, or a larger tokens.max_length"
        raise ValueError(f"dataset: none of the {known} training pairs has log-probs; {remedy}")
    used = _with_number(metric, scores, keep)
    write_tables(_tables(scores, metric_columns(used, scores)), path)
    return known - len(scores.pair_id_P), used


def _with_number(metric: Mapping[str, Any], scores: PairScores, keep: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metric's node with the alpha that its rule chooses, which is logged."""
    with rewards_asked_for(metric):
        used = with_chosen_number(metric, scores, keep)
    if used != metric:
        rule, pairs = rule_name(metric["alpha"]), len(scores.pair_id_P)
        logger.info("alpha=auto: the rule %s chose %g from %d pairs", rule, used["alpha"], pairs)
        if used["alpha"] == 0:
            logger.warning("alpha=auto: 0 leaves out the implicit margin, so that the order is that of metric=explicit")
    return used


def _tables(scores: PairScores, columns: Mapping[str, np.ndarray]) -> Iterator[pa.Table]:
    """Yield the columns of selection.parquet except `kept`, for a part of the pairs at a time."""
    assert isinstance(scores.pair_id_P, PairIds)
    explicit_P, start = scores.rewards_margin_P, 0
    for ids in scores.pair_id_P.parts():
        here = slice(start, start + len(ids))
        explicit = pa.nulls(len(ids), pa.float64()) if explicit_P is None else explicit_P[here]
        margins = {"explicit_margin": explicit, "implicit_margin": scores.implicit_margin_P[here]}
        terms = {name: column_P[here] for name, column_P in columns.items()}
        yield pa.table({"pair_id": ids} | margins | terms)
        start += len(ids)


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of ranked and of kept pairs."""
    from apm_exp.selection.keep.preflight import most_kept

    counts, built = known[inputs["pairs"].key], read_done(inputs["pairs"])
    train = counts.get("train", counts.get("pairs")) if built is None else _training_pairs(built, inputs)
    return {} if train is None else {"pairs": train, "kept": most_kept(inputs["keep"], int(train))}


def _training_pairs(pairs: Artifact, inputs: Mapping[str, Any]) -> int:
    return rows_of_split(pairs.path / "pairs.parquet", train_split(pairs, inputs["holdout"]))


def foresee(inputs: Mapping[str, Any], built: Mapping[str, Artifact]) -> None:
    """Raise ValueError if the keep rule would keep no pair, if too few pairs are left for a rule to choose alpha, or if
    the metric needs rewards and the pairs have none.
    """
    from apm_exp.selection.alpha_rules.choose import AUTO, check_rule
    from apm_exp.selection.keep.preflight import check_keep
    from apm_exp.selection.metrics.preflight import needs_rewards

    pairs, rewards = (built.get(inputs[name].key) for name in ("pairs", "rewards"))
    if pairs is not None:
        number = _training_pairs(pairs, inputs)
        ids = PairIds(pairs.path / "pairs.parquet", number, train_split(pairs, inputs["holdout"]))
        check_keep(inputs["keep"], number, ids)
        alpha = inputs["metric"].get("alpha")
        if isinstance(alpha, Mapping):  # a rule's node, which stands for alpha=auto
            check_rule({**inputs["metric"], "alpha": AUTO}, alpha, inputs["keep"], number)
    without = rewards is not None and rewards.counts.get("unrewarded") == rewards.counts["pairs"]
    if without and needs_rewards(inputs["metric"]):
        raise MissingRewards(f"metric._target_={inputs['metric']['_target_']}: the pairs have no rewards; {REWARDS}")
