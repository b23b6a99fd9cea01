"""One reply of an endpoint, read from what the openai client returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NO_USAGE = (
    "the server reports no token usage, so tokens and cost cannot be counted; ask a server that does (finished "
    "work is kept)"
)
_FAILED = ("abort", "error")  # finish reasons


class Malformed(Exception):
    """A reply that cannot be used; another attempt may get a better one."""


@dataclass(frozen=True)
class Reply:
    """A reply. text: "" if there is none. ended: the server's finish_reason. refusal: what the server says instead of a
    text. model: as the server names it. choice: all fields of the choice.
    """

    text: str
    ended: str | None
    refusal: str | None
    input_tokens: int
    output_tokens: int
    model: str
    choices: int
    choice: Mapping[str, Any] = field(repr=False)

    @property
    def is_truncated(self) -> bool:
        """Return whether the reply was truncated at the maximum number of tokens."""
        return self.ended == "length"


def usage_of(completion: Any) -> tuple[int, int] | None:
    """Return the input and output tokens that a reply reports; None if it reports none."""
    usage = _plain(completion).get("usage")
    if not isinstance(usage, Mapping):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return counts if all(isinstance(count, int) and count >= 0 for count in counts) else None  # type: ignore[return-value]


def read_reply(completion: Any) -> Reply:
    """Return the first choice of a chat or text completion.

    Raises Malformed if it has none or the server broke it off, and ValueError if the server does not count tokens.
    """
    content = _plain(completion)
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        problem = content.get("error") or str(completion)[:80]  # some servers send their errors with status 200
        raise Malformed(
            f"a reply without choices: {problem.get('message') if isinstance(problem, Mapping) else problem}"
        )
    if choices[0].get("finish_reason") in _FAILED:
        raise Malformed(f"a reply that the server broke off: {choices[0]['finish_reason']}")
    usage = usage_of(completion)
    if usage is None:
        raise ValueError(_NO_USAGE)
    choice: Mapping[str, Any] = choices[0]
    message = choice.get("message")
    said: Mapping[str, Any] = message if isinstance(message, Mapping) else {"content": choice.get("text")}
    refusal = said.get("refusal")
    return Reply(
        text=_text(said.get("content")),
        ended=choice.get("finish_reason"),
        refusal=refusal if isinstance(refusal, str) and refusal else None,
        input_tokens=usage[0],
        output_tokens=usage[1],
        model=str(content.get("model") or ""),
        choices=len(choices),
        choice=choice,
    )


def _text(content: Any) -> str:
    """Return the text of a message, which some servers send in parts, thoughts among them; "" if there is none."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text")
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _plain(completion: Any) -> Mapping[str, Any]:
    """Return a completion as a mapping; {} for anything else, such as the text of a page that is no JSON."""
    return completion.to_dict(warnings=False) if hasattr(completion, "to_dict") else {}
