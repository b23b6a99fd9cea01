"""The prompts for a judge about the responses of a row: one response alone, or two in both orders."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, NamedTuple

from apm_exp.core.digest import text_digest
from apm_exp.core.messages import fields_of, read_messages, read_responses, read_tools, text_of
from apm_exp.core.types import Message, Refusal

Form = Literal["score", "pairwise"]
Order = tuple[int, ...]  # the response, or the first and the second response, of a question
PLACES = {"score": ("prompt", "response"), "pairwise": ("prompt", "response_a", "response_b")}


class Texts(NamedTuple):
    """The prompt of a row as one text, and its responses."""

    prompt: str
    responses: list[str]


def texts_of(row: Mapping[str, Any], form: Form) -> Texts | Refusal:
    """Return the texts of a row. A prompt of one turn is its text; of several, each has its role before it.

    Refused: what is no text, and a response that has no other to be compared with.
    """
    prompt, responses = read_messages(row["prompt"]), read_responses(row["responses"], row.get("response_extras"))
    detail = f"prompt starting {text_of(prompt[-1])[:60]!r}"
    if read_tools(row.get("tools")) or any(fields_of(each) for each in [*prompt, *responses]):
        return Refusal("no reward", f"{detail}: tools and fields besides text")
    if form == "pairwise" and len(responses) < 2:
        return Refusal("no reward", f"{detail}: one response alone cannot be compared")
    return Texts(_as_text(prompt), [text_of(each) for each in responses])


def _as_text(prompt: Sequence[Message]) -> str:
    if len(prompt) == 1:
        return text_of(prompt[0])
    return "\n\n".join(f"{each['role'].capitalize()}: {text_of(each)}" for each in prompt)


def orders_of(texts: Texts, form: Form) -> list[Order]:
    """Return the questions about a row; none about two equal responses, which are tied."""
    numbers = range(len(texts.responses))
    if form == "score":
        return [(number,) for number in numbers]
    return [(i, j) for i, j in permutations(numbers, 2) if texts.responses[i] != texts.responses[j]]


def question(template: str, form: Form, texts: Texts, order: Order) -> str:
    """Return the text of a question. Braces in the texts, and other ones in the template, stay as they are."""
    written = dict(zip(PLACES[form], (texts.prompt, *(texts.responses[number] for number in order)), strict=True))
    places = re.compile("|".join(rf"\{{{name}\}}" for name in PLACES[form]))
    return places.sub(lambda place: written[place[0][1:-1]], template)


@dataclass(frozen=True)
class Questions:
    """All questions about some rows. names: of each row by their order; None for a row without rewards."""

    form: Form
    template: str
    texts: Sequence[Texts | Refusal]
    names: Sequence[dict[Order, str] | None]
    places: Mapping[str, tuple[int, Order]]  # the row and order of the first question of each name

    def text_of(self, name: str) -> str:
        """Return the text of a question."""
        place, order = self.places[name]
        texts = self.texts[place]
        assert isinstance(texts, Texts)
        return question(self.template, self.form, texts, order)


def questions_of(rows: Iterable[Mapping[str, Any]], form: Form, template: str) -> Questions:
    """Return the questions about rows; their texts are not kept, as there may be many about each row."""
    texts = [texts_of(row, form) for row in rows]
    names: list[dict[Order, str] | None] = []
    places: dict[str, tuple[int, Order]] = {}
    for place, each in enumerate(texts):
        if isinstance(each, Refusal):
            names.append(None)
            continue
        named = {order: text_digest(question(template, form, each, order)) for order in orders_of(each, form)}
        for order, name in named.items():
            places.setdefault(name, (place, order))
        names.append(named)
    return Questions(form, template, texts, names, places)
