"""Score a table of tokenised pairs, in one process or in several; what a killed attempt has scored is kept."""

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
from apm_exp.core.types import Policy, TokenisedPair
from apm_exp.runtime.run_in_ranks import run_in_ranks
from apm_exp.runtime.settings import all_processes

logger = logging.getLogger(__name__)
TOKENISED, SHARDS = "tokenised.parquet", "shards"
_SECONDS_TO_SHOW, _SECONDS_BETWEEN_LOOKS = 90.0, 0.5
PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")
Scores = dict[str, tuple[float, ...]]  # by pair_id: the log-probs of the chosen and the rejected response (nats)


class StoredPairs(Sequence[TokenisedPair]):
    """The pairs of a table, made when they are asked for: as Python integers they would take many times the memory."""

    def __init__(self, table: pa.Table) -> None:
        self.columns = [table[name] for name in PARTS]

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, row: int) -> TokenisedPair: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[TokenisedPair]: ...
    def __getitem__(self, row: int | slice) -> TokenisedPair | Sequence[TokenisedPair]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        return TokenisedPair(*(column[row].as_py() for column in self.columns))


def lengths_of(table: pa.Table) -> np.ndarray:
    """The tokens of each pair: its prompt once, and both answers."""
    return np.sum([pc.list_value_length(table[name]).to_numpy() for name in PARTS], axis=0)


def score_table(out: Path, policy: Policy, runtime: dict[str, Any]) -> Scores:
    """The log-probs of each pair of `out/tokenised.parquet` by pair_id, in as many processes as the runtime says.

    Values that an earlier attempt left in `out/shards` are reused; if nothing else has changed, the rest is scored in
    the batches in which it would have been. Raises ValueError as form_batches and score_batches do.
    """
    table = pq.read_table(out / TOKENISED)
    names, lengths = table["pair_id"].to_pylist(), lengths_of(table).tolist()
    known = _scores(out / SHARDS)
    batches = remaining(names, lengths, known.keys(), runtime)
    if known:
        logger.info("%d of %d pairs were scored before", len(known), len(names))
    if batches:
        processes = all_processes(runtime)
        shares = [batches[rank::processes] for rank in range(processes)]
        given: dict[str, Any] = {"policy": policy, "shares": shares, "runtime": runtime}
        if len(shares) > 1:
            run_in_ranks(score_share, out, given, len(shares))
        else:
            score_share(out, **given)
    return _all_scores(out / SHARDS, names)


def _scores(folder: Path, *, warn: bool = True) -> Scores:
    return {name: tuple(logps) for name, logps in read_results(folder, warn=warn)}


def _all_scores(folder: Path, names: Sequence[str]) -> Scores:
    """The log-probs of all pairs. A shared folder may show what another machine has written only after a while."""
    deadline = time.monotonic() + _SECONDS_TO_SHOW
    while absent := len(set(names) - (known := _scores(folder, warn=False)).keys()):
        if time.monotonic() > deadline:
            remedy = "re-run the same command to resume; is it on a file system that all nodes share?"
            raise ValueError(
                f"output_root: the scores of {absent} pairs were written and are not in {folder}; {remedy}"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return known


def remaining(names: Sequence[str], lengths: Sequence[int], known: Any, runtime: dict[str, Any]) -> list[list[int]]:
    """The batches (rows of the table) that are still to be scored, equally many for each process."""
    from apm_exp.models.score_pairs import form_batches, token_budget

    processes, budget = all_processes(runtime), token_budget(component.bind("runtime", runtime)(), lengths)
    batches = form_batches(lengths, names, budget, processes)
    rest = [batch for batch in batches if any(names[row] not in known for row in batch)]
    if any(names[row] in known for batch in rest for row in batch):  # other batches were formed before
        rows = [row for row, name in enumerate(names) if name not in known]
        formed = form_batches([lengths[row] for row in rows], [names[row] for row in rows], budget, processes)
        rest = [[rows[place] for place in batch] for batch in formed]
    return rest + rest[-1:] * (-len(rest) % processes)  # the same again takes no longer than waiting for the others


def score_share(out: Path, *, policy: Policy, shares: list[list[list[int]]], runtime: dict[str, Any]) -> dict[str, int]:
    """Score this process's share of the batches, into a file of its own; returns the number of pairs."""
    from apm_exp.models.load import load_model
    from apm_exp.models.score_pairs import score_batches, token_budget

    settings = component.bind("runtime", runtime)()
    table = pq.read_table(out / TOKENISED)
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
    """Every part has tokens, and every token a row of the embedding."""
    for part in PARTS:
        lengths = pc.list_value_length(table[part]).to_numpy()
        if len(empty := np.flatnonzero(lengths == 0)):
            raise ValueError(f"tokens: the pair {names[empty[0]]} has a prompt or a response without tokens")
        ids = pc.list_flatten(table[part]).to_numpy()
        if len(wrong := np.flatnonzero((ids >= rows) | (ids < 0))):
            name = names[np.searchsorted(np.cumsum(lengths), wrong[0], side="right")]
            raise ValueError(
                f"model.path: the pair {name} has the token {ids[wrong[0]]}, and the model's embedding has {rows} "
                "rows; the tokenizer does not belong to this model"
            )
