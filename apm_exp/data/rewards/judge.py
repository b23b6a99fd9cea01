"""Reward source: a language model behind an OpenAI-compatible endpoint that judges responses."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp.core.files import read_jsonl, write_jsonl
from apm_exp.core.ranges import NotNegative
from apm_exp.core.types import Refusal
from apm_exp.data.endpoint.bill import Bill
from apm_exp.data.endpoint.checks import check_endpoint, check_ready
from apm_exp.data.endpoint.endpoint import endpoint_of
from apm_exp.data.endpoint.spending import spending_at
from apm_exp.data.rewards.judge_questions import PLACES, Form, Questions, questions_of
from apm_exp.data.rewards.judge_replies import TRIES, Judge, replies
from apm_exp.data.rewards.judge_verdicts import Reading, read_verdict, rewards_of
from apm_exp.data.rewards.judgements import FILE, judgement_counts, judgements, missing, say_counts, verdicts_of

logger = logging.getLogger(__name__)
_PLACE = "reward.endpoint"


def judge(
    responses: pa.Table,
    row_ids: Sequence[str],
    scored: Path,
    out: Path,
    *,
    form: Form,
    prompts: dict[str, str],
    reminder: str,
    verdict: str,
    thoughts: str | None,
    lowest: float,
    highest: float,
    temperature: NotNegative | None,
    max_new_tokens: Annotated[int, Field(ge=1, le=2**24)],
    limit_name: Literal["max_tokens", "max_completion_tokens"],
    more: dict[str, Any],
    endpoint: dict[str, Any],
) -> list[list[float] | None]:
    """Return what a judge says of each response: its score, or how it compares with the others of its prompt.

    form: score, a number for each response alone; or pairwise, a verdict A, B or tie on each two responses in both
    orders (rewards_of has the formula). prompts: the texts of the questions by form. A reply without a verdict is asked
    for once more, with `reminder` after it. A row has no rewards (None) if one of its verdicts is missing, or if it is
    no text. All replies are in judgements.jsonl in `out`; `scored` keeps them and the ledger, so that a killed attempt
    asks nothing twice. Raises ValueError if no row has rewards, and if the endpoint cannot be asked any more.
    """
    asked = endpoint_of(_PLACE, endpoint)
    reading = Reading(form, verdict, thoughts, lowest, highest)
    questions = questions_of(responses.to_pylist(), form, prompts[form])
    _say_refused(questions)
    sampling: dict[str, Any] = {"n": 1, limit_name: max_new_tokens}
    sampling |= ({} if temperature is None else {"temperature": temperature}) | ({"extra_body": more} if more else {})
    model = Judge(asked, sampling, reminder, lambda reply: read_verdict(reply, reading) is not None)
    said = replies(model, questions.places, questions.text_of, scored)
    lines = list(judgements(questions, row_ids, said, reading, asked))
    write_jsonl(lines, out / FILE)
    rewards = _rewards(questions, row_ids, lines)
    counts = judgement_counts(lines)
    if lines and all(each is None for each in rewards):
        remedy = "correct reward.prompts or reward.verdict, or use another judge"
        raise ValueError(f"{asked.typed('model')}: no row has rewards: {missing(counts, lines)}; {remedy}")
    say_counts(counts, lines)
    return rewards


def _rewards(
    questions: Questions, row_ids: Sequence[str], lines: Sequence[Mapping[str, Any]]
) -> list[list[float] | None]:
    verdicts = verdicts_of(lines)
    return [
        None
        if isinstance(texts, Refusal)
        else rewards_of(questions.form, len(texts.responses), verdicts.get(row_id, {}))
        for row_id, texts in zip(row_ids, questions.texts, strict=True)
    ]


def _say_refused(questions: Questions) -> None:
    """Log how many rows are not asked about. Raises ValueError for all of them."""
    refused = [each.detail for each in questions.texts if isinstance(each, Refusal)]
    if not refused:
        return
    problem = f"the judge gives no rewards to {len(refused)} of {len(questions.texts)} rows, the first: {refused[0]}"
    if len(refused) == len(questions.texts):
        raise ValueError(f"reward.form={questions.form}: {problem}; use another reward source")
    logger.warning("reward.form=%s: %s", questions.form, problem)


def within_rows(*, form: Form) -> bool:
    """Return whether rewards only compare the responses of one row."""
    return form == "pairwise"


def check(
    *,
    form: Form,
    prompts: dict[str, str],
    verdict: str,
    thoughts: str | None,
    lowest: float,
    highest: float,
    endpoint: dict[str, Any],
) -> None:
    """Raise ValueError for a prompt without its places, a pattern that is none, and settings that do not fit."""
    check_endpoint(endpoint_of(_PLACE, endpoint))
    for name in PLACES[form]:
        if f"{{{name}}}" not in prompts.get(form, ""):
            raise ValueError(f"reward.prompts.{form}: lacks {{{name}}}, in whose place the judge reads it; add it")
    for setting, pattern in {"verdict": verdict, "thoughts": thoughts}.items():
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"reward.{setting}={pattern}: no regular expression ({error}); correct it") from error
    if form == "score" and not lowest < highest:
        raise ValueError(f"reward.lowest={lowest:g}: not below reward.highest={highest:g}; correct one of them")


def ready(*, endpoint: dict[str, Any]) -> None:
    """Raise ValueError if the endpoint cannot be asked: a missing package, key or ceiling, or no server."""
    check_ready(endpoint_of(_PLACE, endpoint))


def bill(
    counts: Mapping[str, int | float],
    mean_pair: Sequence[float],
    *,
    form: Form,
    prompts: dict[str, str],
    max_new_tokens: int,
    endpoint: dict[str, Any],
) -> Bill | None:
    """Return the maximum cost of the judgements of so many responses, each asked for twice; None if it is unknown.

    Pairs have two responses, as far as their counts tell. Input is that of one question each: the texts of a mean pair
    and the judge's prompt, of which a token has about 4 characters.
    """
    rows = counts.get("pairs", counts.get("prompts"))
    if not rows:
        return None
    each = counts.get("responses", 2 * rows) / rows
    judged, read = (each, 1) if form == "score" else (each * (each - 1), 2)
    number = round(rows * judged)
    tokens = len(prompts[form]) / 4 + mean_pair[0] + read * sum(mean_pair[1:]) / 2
    return Bill(endpoint_of(_PLACE, endpoint), TRIES * number, number * tokens, TRIES * number * max_new_tokens)


def spending(scored: Path, out: Path, *, endpoint: dict[str, Any]) -> dict[str, int | float]:
    """Return the counts of the judgements, their tokens and their cost, which asked.json has too."""
    return judgement_counts(read_jsonl(out / FILE)) | spending_at(endpoint_of(_PLACE, endpoint), scored, out)
