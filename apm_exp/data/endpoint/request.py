"""One request to an endpoint, and upper bounds of its tokens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request. name: of the caller's choice. body: the fields of the API, without the model; `messages` for a chat,
    or `prompt` for a text. group: if one request of a group is refused, its others are refused without being asked.
    """

    name: Any
    body: Mapping[str, Any]
    group: Any = None

    @property
    def most_input(self) -> int:
        """Return an upper bound of the input tokens: one for each byte, or the ids themselves."""
        prompt = self.body.get("prompt")
        return len(prompt) if isinstance(prompt, list) else most_tokens(self.body.get("messages", prompt))

    @property
    def most_output(self) -> int:
        """Return the most tokens of the reply."""
        return int(self.body.get("max_tokens") or self.body["max_completion_tokens"])


def most_tokens(messages: Any) -> int:
    """Return an upper bound of the tokens of messages: the bytes of their JSON, with room for the template's tokens."""
    return len(json.dumps(messages, ensure_ascii=False).encode())
