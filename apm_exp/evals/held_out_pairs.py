"""An evaluation: which response of each held-out pair the policy finds more likely, and by how much."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.console import track
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.files import write_json, write_parquet
from apm_exp.core.messages import read_messages
from apm_exp.core.split import Split, held_out_split
from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.evals.estimate import mean, share

logger = logging.getLogger(__name__)
MARGIN_UNIT = "nats per token"
ON = "on the held-out pairs, by which response has the higher log-prob per token, without a judge"
_FEW = 20  # with fewer, the interval of an accuracy is about 40 points wide


def held_out_pairs(
    out: Path,
    policy: Policy,
    pairs: Artifact,
    logps: Artifact,
    holdout: float,
    runtime: dict[str, Any],
    *,
    confidence: Annotated[float, Field(gt=0, lt=1)],
) -> None:
    """Write scores.json and evaluation.parquet.

    evaluation.parquet has one row per held-out pair, by pair_id, with each score's outcome and the pair's prompt (16
    hexadecimal digits of its sha256).

    Scores: held_out_accuracy (share of pairs whose chosen response has the higher log-prob per token; ties count 1/2),
    held_out_margin (chosen minus rejected, nats per token), both also for the starting policy (starting_...), and
    held_out_log_ratio_accuracy and _margin of the log-ratio to the starting policy per token. Means are over pairs;
    standard errors and intervals are over prompts, which may have several pairs. With fewer than two held-out prompts
    there are no scores, and a warning is logged. The starting policy's log-probs come from the logps artifact.
    """
    split = held_out_split(pairs, holdout)
    rows = split.of(pq.read_table(logps.path / "logps.parquet")).sort_by("pair_id")
    prompts = _prompts(pairs, split, rows["pair_id"].to_pylist())
    number = len(set(prompts))
    if number < 2:
        logger.warning("held_out_pairs: %d held-out prompts are too few for scores; raise dataset.holdout", number)
        rows, prompts = rows.slice(0, 0), []
    elif number < _FEW:
        logger.warning(
            "held_out_pairs: only %d held-out prompts, so the scores are imprecise; raise dataset.holdout", number
        )
    columns = _margins(rows, *_logps(rows, policy, runtime))
    named = {"pair_id": rows["pair_id"], "prompt": pa.array(prompts, pa.string())}
    write_parquet(pa.table(named | columns | outcomes(columns)), out / "evaluation.parquet")
    write_json(scores(columns, prompts, confidence) if prompts else {}, out / "scores.json")


def _prompts(pairs: Artifact, split: Split, pair_ids: Sequence[str]) -> list[str]:
    """Return the digest of each held-out pair's prompt."""
    table = split.read(pairs.path / "pairs.parquet", ["pair_id", "prompt"])
    digests = (text_digest(canonical(read_messages(prompt)))[:16] for prompt in table["prompt"].to_pylist())
    of_pair = dict(zip(table["pair_id"].to_pylist(), digests, strict=True))
    return [of_pair[pair_id] for pair_id in pair_ids]


def scores(columns: dict[str, np.ndarray], prompts: Sequence[str], confidence: float) -> dict[str, Any]:
    """Return the records of scores.json from the margins (nats per token, shape P) and each pair's prompt."""
    prompt_P = np.unique(np.array(prompts), return_inverse=True)[1]
    return {
        name: share(each, prompt_P, confidence)
        if name.endswith("accuracy")
        else mean(each, prompt_P, confidence, MARGIN_UNIT)
        for name, each in outcomes(columns).items()
    }


def outcomes(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each score's value for each pair, by the score's name."""
    margins = {"held_out": "margin", "starting_held_out": "starting_margin", "held_out_log_ratio": "log_ratio_margin"}
    values: dict[str, np.ndarray] = {}
    for name, column in margins.items():
        values |= {f"{name}_accuracy": _wins(columns[column]), f"{name}_margin": columns[column]}
    return values


def _wins(margin: np.ndarray) -> np.ndarray:
    return np.where(margin == 0, 0.5, margin > 0)


def _margins(rows: pa.Table, chosen_logp: np.ndarray, rejected_logp: np.ndarray) -> dict[str, np.ndarray]:
    """Return chosen minus rejected per token, for the policy, the starting policy, and the ratio of the two."""
    chosen_len, rejected_len, chosen_start, rejected_start = (
        rows[name].to_numpy() for name in ("chosen_len", "rejected_len", "chosen_logp", "rejected_logp")
    )
    margin = chosen_logp / chosen_len - rejected_logp / rejected_len
    start = chosen_start / chosen_len - rejected_start / rejected_len
    return {
        "chosen_logp": chosen_logp,
        "rejected_logp": rejected_logp,
        "margin": margin,
        "starting_margin": start,
        "log_ratio_margin": margin - start,
    }


def _logps(rows: pa.Table, policy: Policy, runtime: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the policy's summed log-probs of both responses (nats), in the order of the rows."""
    from apm_exp.models.load import load_model
    from apm_exp.models.score_pairs import score_pairs, token_budget

    pairs, names = _pairs(rows), rows["pair_id"].to_pylist()
    values = np.zeros((len(pairs), 2))
    if not pairs:
        return values[:, 0], values[:, 1]
    settings = component.bind("runtime", runtime)()
    budget = token_budget(settings, [pair.length for pair in pairs])
    scored = score_pairs(load_model(policy, settings.device), pairs, names, budget)
    for index, *logps in track(scored, "scoring held-out pairs", len(pairs)):
        values[index] = logps
    return values[:, 0], values[:, 1]


def _pairs(rows: pa.Table) -> Sequence[TokenizedPair]:
    columns = (rows[name].to_pylist() for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
    return [TokenizedPair(*ids) for ids in zip(*columns, strict=True)]


def work(pairs: Artifact, logps: Artifact, holdout: float) -> tuple[int, int]:
    """Return the forwards and the tokens of the held-out pairs under the policy."""
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    table = held_out_split(pairs, holdout).read(logps.path / "logps.parquet", names)
    return len(table), sum(pc.sum(pc.list_value_length(table[name])).as_py() or 0 for name in names)
