"""The instructions that make a policy rewrite a prompt.

The five strategies of EvolInstruct (Xu et al., 2023; paper, App. D.1 and Table 4), in the order of the paper's released
code, so that its "two types" are breadth and deepening. The wording is our own.
"""

from typing import Literal, get_args

Strategy = Literal["breadth", "deepening", "constraints", "concretizing", "reasoning"]
ORDER: tuple[Strategy, ...] = get_args(Strategy)

OPENING, CLOSING = "<prompt>", "</prompt>"
_BEFORE = ("<conversation>", "</conversation>")
_REPLY = (
    "Reply with the {made} prompt and nothing else: no title, no introduction, no quotation marks, no response to it."
)
_IN_DEPTH = (
    "Make the prompt below somewhat harder for a capable assistant. {method} Add about 10 to 20 words, keep what the "
    "prompt already asks for, and keep its code, tables and numbers. The result must be understandable by itself, "
    "without the prompt below, and answerable in text. " + _REPLY.format(made="rewritten")
)
_METHODS: dict[Strategy, str] = {
    "deepening": "Ask about the same subject in more depth or with wider scope.",
    "constraints": "Add one further condition or requirement that a good response has to meet.",
    "concretizing": "Replace general notions in it by more specific ones.",
    "reasoning": "Change it so that a good response needs several steps of reasoning, and asks for them.",
}
_BREADTH = (
    "Take the prompt below as an example, and write a new prompt of the same domain that asks for something else and "
    "rarer. It should be about as long and as difficult, understandable by itself, and answerable in text. "
    + _REPLY.format(made="new")
)


def instruction(strategy: Strategy, prompt: str, before: str = "") -> str:
    """Return the text that asks for a rewrite of a prompt. before: the earlier turns of its conversation, if any."""
    task = _BREADTH if strategy == "breadth" else _IN_DEPTH.format(method=_METHODS[strategy])
    parts = [task]
    if before:
        parts += ["The prompt is the last turn of this conversation, which stays as it is:"]
        parts += ["\n".join((_BEFORE[0], before, _BEFORE[1]))]
    return "\n\n".join([*parts, "\n".join((OPENING, prompt, CLOSING))])


def repeats_instruction(text: str) -> bool:
    """Return whether a reply contains the marks or a sentence of the instructions."""
    marks = (OPENING, CLOSING, *_BEFORE, "no title, no introduction", "the prompt below")
    return any(mark in text.lower() for mark in marks)
