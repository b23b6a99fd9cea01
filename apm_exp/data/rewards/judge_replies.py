"""Ask a judge all questions, and those whose reply has no verdict once more; replies are on disk as they arrive."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apm_exp.core.console import track
from apm_exp.core.results_file import read_results, record
from apm_exp.core.types import Message, Refusal
from apm_exp.data.endpoint.ask import Asking
from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.data.endpoint.replies import Reply
from apm_exp.data.endpoint.request import Request

TRIES = 2
_MOST_UNREAD = 20  # replies without a verdict before any has one
Name = tuple[str, int]  # of a question, and the number of the try
HasVerdict = Callable[[str], bool]


@dataclass(frozen=True)
class Said:
    """A reply of the judge. refused: why there is none, if the server or the judge refuses the question."""

    reply: str
    refused: str | None
    model: str
    date: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Judge:
    """The judge and how it is asked. reminder: what it is told if its reply has no verdict."""

    endpoint: Endpoint
    sampling: Mapping[str, Any]
    reminder: str
    has_verdict: HasVerdict


def replies(judge: Judge, names: Iterable[str], text_of: Callable[[str], str], scored: Path) -> dict[Name, Said]:
    """Return each reply by the name of its question and its try; those of an earlier attempt are not asked for again.

    text_of: the text of a question. scored: the folder of the replies and of the ledger. Raises ValueError if the first
    replies all have no verdict, and if the endpoint cannot be asked any more.
    """
    known = {_read_name(name): Said(**said) for name, said in read_results(scored)}
    seen: Counter[bool] = Counter()  # of this attempt: replies that have a verdict, or are refused, and others
    asked = list(names)
    for number in range(1, TRIES + 1):
        wanted = [(name, number) for name in asked if (name, number) not in known]
        requests = (_request(judge, name, text_of(name[0]), known, seen) for name in wanted)
        for name, said in track(_ask(judge, requests, scored), "judging, replies", len(wanted)) if wanted else ():
            known[name] = said
            seen[_is_unread(judge, said)] += 1
        asked = [name for name in asked if _is_unread(judge, known[name, number])]
    return known


def _ask(judge: Judge, requests: Iterable[Request], scored: Path) -> Iterator[tuple[Name, Said]]:
    new = ((name, _said(reply)) for name, reply in Asking(judge.endpoint, scored).all(requests))
    return record(new, lambda item: {_written_name(item[0]): asdict(item[1])}, scored)


def _request(judge: Judge, name: Name, text: str, known: Mapping[Name, Said], seen: Mapping[bool, int]) -> Request:
    """Return the next request. Raises ValueError if all replies so far have no verdict: something in it is wrong."""
    if seen[True] >= _MOST_UNREAD and not seen[False]:
        problem = f"none of the first {seen[True]} replies has a verdict that fits it"
        ending = next(said.reply for said in list(known.values()) if _is_unread(judge, said))[-80:]
        remedy = "correct it or reward.prompts, or raise reward.max_new_tokens if the replies are truncated"
        raise ValueError(f"reward.verdict: {problem}, such as the one that ends {ending!r}; {remedy}")
    messages: list[Message] = [{"role": "user", "content": text}]
    before = known.get((name[0], name[1] - 1))
    if before is not None and before.reply.strip():  # servers do not take an empty message
        reminder: Message = {"role": "user", "content": judge.reminder}
        messages += [{"role": "assistant", "content": before.reply}, reminder]
    return Request(name, {"messages": messages, **judge.sampling})


def _said(reply: Reply | Refusal) -> Said:
    date = datetime.now(UTC).isoformat(timespec="seconds")
    if isinstance(reply, Refusal):
        return Said("", f"{reply.reason}: {reply.detail}", "", date, 0, 0)
    refused = reply.refusal or ("content filter" if reply.ended == "content_filter" else None)
    return Said(reply.text, refused, reply.model, date, reply.input_tokens, reply.output_tokens)


def _is_unread(judge: Judge, said: Said) -> bool:
    return said.refused is None and not judge.has_verdict(said.reply)


def _written_name(name: Name) -> str:
    return f"{name[0]} {name[1]}"


def _read_name(written: str) -> Name:
    name, number = written.split()
    return name, int(number)
