"""Reward source: PairRM, which compares the responses of a prompt with each other."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.core.digest import text_digest
from apm_exp.core.types import Refusal
from apm_exp.data.rewards.compared_texts import Lengths, check_marks, compared_ids, special_tokens, texts_of
from apm_exp.data.rewards.conversation_ids import OnTooLong
from apm_exp.data.rewards.hub_model import config_here as config_here
from apm_exp.data.rewards.hub_model import is_here as is_here
from apm_exp.data.rewards.hub_model import pin as pin
from apm_exp.data.rewards.sequence_scores import Conversation, per_batch, score_all
from apm_exp.models.pretrained import folder_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
Compared = list[list[str | None]]  # names of the comparisons of a row, [first][second]; None with itself


def pairrm(
    responses: pa.Table,
    runtime: Mapping[str, Any],
    scored: Path,
    *,
    path: str,
    revision: str | None,
    dtype: Literal["float32", "bfloat16", "float16"],
    batch_size: Annotated[int, Field(gt=0), UNHASHED],
    source_max_length: Annotated[int, Field(gt=2)],
    candidate_max_length: Annotated[int, Field(gt=2)],
    on_too_long: OnTooLong = "truncate",
) -> list[list[float] | None]:
    """Return for each response by how much it is better than the others of its prompt; runs on the runtime's device.

    All ordered pairs of a row's N responses are compared: the reward of one is the sum of its logits as the first one
    minus those as the second one, divided by N. Rewards of a row sum to 0; the difference of those of two responses is
    their logit in one order minus that in the other. A row with one response, and one that is no text, has no rewards;
    these, and sources and candidates that are truncated, are counted in warnings.

    Raises ValueError if no row has rewards, if on_too_long=error and a text is truncated, and as classifier.
    """
    import torch

    from apm_exp.models.load import load_weights, tokenizer_from
    from apm_exp.models.pairrm import PairRM, compare_pairs, keep_head_exact

    label = f"reward.path={path}"
    folder = folder_of("reward", path, revision, False)
    tokenizer = tokenizer_from(folder, label, False)
    model: Any = keep_head_exact(load_weights(PairRM, folder, label, dtype=getattr(torch, dtype)))  # type: ignore[arg-type]
    check_marks(tokenizer, model.config, label)
    model = model.to(component.bind("runtime", runtime)().device)
    lengths = Lengths(source_max_length, source_max_length + 2 * candidate_max_length)
    comparisons: dict[str, Conversation] = {}
    rows = list(_compared(tokenizer, responses, lengths, on_too_long, label, comparisons))
    score = per_batch(lambda sequences, _rows: compare_pairs(model, sequences))
    logits = score_all(score, comparisons, batch_size, scored, label)
    return [None if row is None else _rewards(row, logits) for row in rows]


def _rewards(row: Compared, logits: Mapping[str, float]) -> list[float]:
    """Return the mean of C[i, j] - C[j, i] over all j, of which i itself adds 0, of each response i."""
    count = len(row)
    margin = [[0.0 if i == j else logits[row[i][j]] - logits[row[j][i]] for j in range(count)] for i in range(count)]  # type: ignore[index]
    return [sum(each) / count for each in margin]


def _compared(
    tokenizer: "PreTrainedTokenizerBase",
    responses: pa.Table,
    lengths: Lengths,
    on_too_long: OnTooLong,
    label: str,
    comparisons: dict[str, Conversation],
) -> Iterator[Compared | None]:
    """Yield the names of each row's comparisons, which are added to `comparisons`; None for a row without rewards."""
    pattern, refused, cut, total = special_tokens(tokenizer), [], 0, 0
    for place, row in enumerate(responses.to_pylist()):
        texts = texts_of(row)
        if isinstance(texts, Refusal) or len(texts.candidates) < 2:
            refused.append(texts.detail if isinstance(texts, Refusal) else "one response alone cannot be compared")
            yield None
            continue
        source, candidates = compared_ids(tokenizer, pattern, texts, lengths)
        cut, total = cut + source.cut + sum(first.cut for first, _ in candidates), total + 1 + len(candidates)
        names: Compared = [[None] * len(candidates) for _ in candidates]
        for i, j in permutations(range(len(candidates)), 2):
            ids = [*source.ids, *candidates[i][0].ids, *candidates[j][1].ids]
            names[i][j] = name = text_digest(json.dumps(ids))
            comparisons.setdefault(name, Conversation(ids, place))
        yield names
    _say(refused, len(responses), cut, total, on_too_long, label)


def _say(refused: Sequence[str], rows: int, cut: int, total: int, on_too_long: OnTooLong, label: str) -> None:
    problem = f"{label}: PairRM gives no rewards to {len(refused)} of {rows} rows, the first: {next(iter(refused), '')}"
    if refused and len(refused) == rows:
        raise ValueError(f"{problem}; use reward=classifier")
    if refused:
        logger.warning("%s", problem)
    limits = "reward.source_max_length and reward.candidate_max_length"
    if cut and on_too_long == "error":
        problem = f"{cut} of {total} prompts and responses are longer than {limits}"
        raise ValueError(f"reward.on_too_long=error: {problem}; raise these, or set reward.on_too_long=truncate")
    if cut:
        logger.warning(
            "%s: %d of %d prompts and responses are longer than %s and were truncated", label, cut, total, limits
        )


def within_rows() -> bool:
    """Return whether rewards only compare the responses of one row."""
    return True


def forwards(prompt: float, response: float, count: float) -> tuple[float, tuple[float]]:
    """Return the number of forwards for the responses of a prompt, and the tokens of each: for plans."""
    return count * (count - 1), (prompt + 2 * response,)


def longest(*, source_max_length: int, candidate_max_length: int) -> int:
    """Return the most tokens of a comparison: for plans."""
    return source_max_length + 2 * candidate_max_length


def preflight(*, path: str, revision: str | None) -> None:
    """Check the model's folder without loading its weights. Raises a one-line ValueError."""
    from apm_exp.data.rewards.preflight import check_pairrm

    check_pairrm(path, revision)
