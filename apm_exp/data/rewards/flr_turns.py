"""The turns in which a language model reads a response and then a follow-up, in either of FLR's role layouts."""

from typing import Literal

from apm_exp.core.messages import text_of
from apm_exp.core.types import Message, Refusal

Layout = Literal["base", "fine_tuned"]
INVITATION = "Please ask me a question and provide feedback to my answer."  # of the released script


def turns_of(layout: Layout, prompt: list[Message], response: Message) -> list[Message] | Refusal:
    """Return the turns before the follow-up.

    base: prompt and response; the follow-up is the user's next turn. fine_tuned: as in the release of models that were
    tuned on feedback, the roles are exchanged: the model has asked the last question, the user responds, and the
    follow-up is the model's next turn. Earlier turns are left out.
    """
    if layout == "base":
        return [*prompt, response]
    question, answer = text_of(prompt[-1]), text_of(response)
    if prompt[-1]["role"] != "user" or not question or not answer:
        return Refusal("no reward", "the layout fine_tuned needs a question and a response that are text")
    asked = [Message(role="user", content=INVITATION), Message(role="assistant", content=question)]
    return [*asked, Message(role="user", content=answer)]


def follow_up(layout: Layout, text: str) -> Message:
    """Return a follow-up as a turn of the layout."""
    return Message(role="user" if layout == "base" else "assistant", content=text)
