"""The judgements of a judge: rows of judgements.jsonl, their verdicts, and their counts."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.data.rewards.judge_questions import Order, Questions
from apm_exp.data.rewards.judge_replies import TRIES, Name, Said
from apm_exp.data.rewards.judge_verdicts import Reading, contradictions, read_verdict

FILE = "judgements.jsonl"
logger = logging.getLogger(__name__)
Lines = Sequence[Mapping[str, Any]]


def judgements(
    questions: Questions, ids: Sequence[str], replies: Mapping[Name, Said], reading: Reading, endpoint: Endpoint
) -> Iterator[dict[str, Any]]:
    """Yield a line for each reply: its row, order, try, prompt (sha256), outcome, verdict, text, model, date and price.

    outcome: verdict, unparsed or refused. Equal questions are asked once; only the first line of a reply has its tokens
    and cost, so that these can be summed.
    """
    charged: set[Name] = set()
    for row_id, named in zip(ids, questions.names, strict=True):
        for order, name in (named or {}).items():
            for key in ((name, number) for number in range(1, TRIES + 1)):
                if key in replies:
                    own = {"row": row_id, "order": list(order), "try": key[1], "prompt_sha256": name}
                    yield own | _line(replies[key], reading, endpoint, free=key in charged)
                    charged.add(key)


def _line(said: Said, reading: Reading, endpoint: Endpoint, *, free: bool) -> dict[str, Any]:
    verdict = None if said.refused is not None else read_verdict(said.reply, reading)
    outcome = "refused" if said.refused is not None else "unparsed" if verdict is None else "verdict"
    used = (0, 0) if free else (said.input_tokens, said.output_tokens)
    return {
        "outcome": outcome,
        "verdict": verdict,
        "reply": said.reply,
        "refused": said.refused,
        "model": said.model,
        "date": said.date,
        "input_tokens": used[0],
        "output_tokens": used[1],
        "cost": None if endpoint.input_price is None else endpoint.cost(*used),
    }


def verdicts_of(lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[Order, float | None]]:
    """Return the verdicts of the last tries by row and order; None for one that is missing."""
    verdicts: dict[str, dict[Order, float | None]] = {}
    for line in lines:
        verdicts.setdefault(line["row"], {})[tuple(line["order"])] = line["verdict"]
    return verdicts


def judgement_counts(lines: Lines) -> dict[str, int]:
    """Return the numbers of judgements, of those without a verdict by outcome, and, of comparisons in both orders, of
    the contradictory ones: pairs of responses with another winner in each order.
    """
    last = {(line["row"], *line["order"]): line["outcome"] for line in lines}
    outcomes = Counter(last.values())
    counts = {"judgements": len(last), "unparsed": outcomes["unparsed"], "refused": outcomes["refused"]}
    if any(len(line["order"]) == 2 for line in lines):
        counts["contradictory"] = sum(map(contradictions, verdicts_of(lines).values()))
    return counts


def say_counts(counts: Mapping[str, int], lines: Lines) -> None:
    """Log what is missing, and how often the first one of two responses wins."""
    if counts["unparsed"] + counts["refused"]:
        logger.warning("reward=judge: %s; see %s", missing(counts, lines), FILE)
    if "contradictory" in counts:
        winners = [value for row in verdicts_of(lines).values() for value in row.values() if value]
        said = "%d pairs of responses have another winner in each order and are tied; the first one wins %d of %d times"
        logger.info(said, counts["contradictory"], winners.count(1.0), len(winners))


def missing(counts: Mapping[str, int], lines: Lines) -> str:
    """Return how many judgements are missing and why the first is."""
    last = {(line["row"], *line["order"]): line for line in lines}
    first = next(line for line in last.values() if line["outcome"] != "verdict")
    why = first["refused"] or f"no verdict in a reply that ends {first['reply'][-60:]!r}"
    each = f"{counts['unparsed']} without a verdict, {counts['refused']} refused"
    number = counts["unparsed"] + counts["refused"]
    return f"{number} of {counts['judgements']} judgements are missing ({each}), the first of row {first['row']}: {why}"
