"""Scoring of a table of tokenized pairs in one or several processes; results of a killed attempt are reused."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core import component
from apm_exp.core.console import track
from apm_exp.core.results_file import read_results, record
from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.runtime.run_in_ranks import run_in_ranks
from apm_exp.runtime.settings import all_processes

logger = logging.getLogger(__name__)
TOKENIZED, SHARDS = "tokenized.parquet", "shards"
_SECONDS_TO_SHOW, _SECONDS_BETWEEN_LOOKS = 90.0, 0.5
PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")
Scores = dict[str, tuple[float, ...]]  # by pair_id: the log-probs of the chosen and the rejected response (nats)


class StoredPairs(Sequence[TokenizedPair]):
    """The pairs of a table, created on access, as Python integers would need many times the memory."""

    def __init__(self, table: pa.Table) -> None:
        self.columns = [table[name] for name in PARTS]

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, row: int) -> TokenizedPair: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[TokenizedPair]: ...
    def __getitem__(self, row: int | slice) -> TokenizedPair | Sequence[TokenizedPair]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        return TokenizedPair(*(column[row].as_py() for column in self.columns))


def lengths_of(table: pa.Table) -> np.ndarray:
    """Return the number of tokens of each pair: its prompt once, and both responses."""
    return np.sum([pc.list_value_length(table[name]).to_numpy() for name in PARTS], axis=0)


def score_table(out: Path, policy: Policy, runtime: dict[str, Any]) -> Scores:
    """Return the log-probs of each pair of `out/tokenized.parquet` by pair_id, computed in as many processes as
    configured.

    Results that an earlier attempt left in `out/shards` are reused; if nothing else has changed, the other pairs are
    scored in the same batches as without the interruption. Raises ValueError as form_batches and score_batches do.
    """
    table = pq.read_table(out / TOKENIZED)
    names, lengths = table["pair_id"].to_pylist(), lengths_of(table).tolist()
    known = _scores(out / SHARDS)
    batches = remaining(names, lengths, known.keys(), runtime)
    if known:
        logger.info("%d of %d pairs were scored before", len(known), len(names))
    if batches:
        processes = all_processes(runtime)
        shares = [batches[rank::processes] for rank in range(processes)]
        arguments: dict[str, Any] = {"policy": policy, "shares": shares, "runtime": runtime}
        if len(shares) > 1:
            run_in_ranks(score_share, out, arguments, len(shares))
        else:
            score_share(out, **arguments)
    return _all_scores(out / SHARDS, names)


def _scores(folder: Path, *, warn: bool = True) -> Scores:
    return {name: tuple(logps) for name, logps in read_results(folder, warn=warn)}


def _all_scores(folder: Path, names: Sequence[str]) -> Scores:
    """Return the log-probs of all pairs, waiting for files of other machines to appear on a shared file system."""
    deadline = time.monotonic() + _SECONDS_TO_SHOW
    while absent := len(set(names) - (known := _scores(folder, warn=False)).keys()):
        if time.monotonic() > deadline:
            remedy = "re-run the same command to resume; it must be on a file system that all nodes share"
            raise ValueError(
                f"output_root: the scores of {absent} pairs were written but do not appear in {folder}; {remedy}"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return known


def remaining(names: Sequence[str], lengths: Sequence[int], known: Any, runtime: dict[str, Any]) -> list[list[int]]:
    """Return the batches (rows of the table) that are still to be scored, equally many for each process."""
    from apm_exp.models.score_pairs import form_batches, token_budget

    processes, budget = all_processes(runtime), token_budget(component.bind("runtime", runtime)(), lengths)
    batches = form_batches(lengths, names, budget, processes)
    rest = [batch for batch in batches if any(names[row] not in known for row in batch)]
    if any(names[row] in known for batch in rest for row in batch):  # the earlier attempt had formed other batches
        rows = [row for row, name in enumerate(names) if name not in known]
        formed = form_batches([lengths[row] for row in rows], [names[row] for row in rows], budget, processes)
        rest = [[rows[place] for place in batch] for batch in formed]
    # scoring a batch again takes no longer than waiting for the other processes
    return rest + rest[-1:] * (-len(rest) % processes)


def score_share(out: Path, *, policy: Policy, shares: list[list[list[int]]], runtime: dict[str, Any]) -> dict[str, int]:
    """Score this process's share of the batches and write it to its own file; returns the number of pairs."""
    from apm_exp.models.load import load_model
    from apm_exp.models.score_pairs import score_batches, token_budget

    settings = component.bind("runtime", runtime)()
    table = pq.read_table(out / TOKENIZED)
    pairs, names = StoredPairs(table), table["pair_id"].to_pylist()
    model: Any = load_model(policy, settings.device)
    _check_ids(table, names, model.get_input_embeddings().weight.shape[0])
    share = shares[int(os.environ["RANK"]) if len(shares) > 1 else 0]
    budget = token_budget(settings, lengths_of(table).tolist())
    batches = score_batches(model, pairs, names, share, budget)
    scored = record(batches, lambda batch: {names[index]: logps for index, *logps in batch}, out / SHARDS)
    count = sum(map(len, share))
    part = f" (one of {len(shares)} equal shares)" if len(shares) > 1 else ""
    for _ in track((pair for batch in scored for pair in batch), f"scoring pairs{part}", count):
        pass
    return {"pairs": count}


def _check_ids(table: pa.Table, names: Sequence[str], rows: int) -> None:
    """Check that every part has tokens, and that every token has a row in the embedding."""
    for part in PARTS:
        lengths = pc.list_value_length(table[part]).to_numpy()
        if len(empty := np.flatnonzero(lengths == 0)):
            raise ValueError(f"tokens: the pair {names[empty[0]]} has a prompt or a response without tokens")
        ids = pc.list_flatten(table[part]).to_numpy()
        if len(wrong := np.flatnonzero((ids >= rows) | (ids < 0))):
            name = names[np.searchsorted(np.cumsum(lengths), wrong[0], side="right")]
            raise ValueError(
                f"model.path: the pair {name} has the token {ids[wrong[0]]}, but the model's embedding has {rows} "
                "rows; the tokenizer does not belong to this model"
            )
