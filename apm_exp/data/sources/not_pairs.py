"""Shapes of rows that are not pairs, and how to make pairs of them."""

from collections.abc import Collection

_SHAPES = (  # columns, of which a row has all, and the remedy; the first one that fits counts
    (("completion", "label"), "KTO's rows have one response each; write a good and a bad one as chosen and rejected"),
    (("completions",), "write the best and the worst of completions as chosen and rejected"),
    (("response_0", "response_1"), "write the better one as chosen and the other as rejected"),
    (("response_a", "response_b"), "write the better one as chosen and the other as rejected"),
    (("conversation_a", "conversation_b"), "write the winner as chosen and the other as rejected"),
    (("human_ref_A", "human_ref_B"), "write the better one as chosen, the other as rejected, and history as prompt"),
    (("accepted", "rejected"), "rename accepted to chosen"),
    (("positive", "negative"), "rename positive to chosen and negative to rejected"),
    (("response_w", "response_l"), "rename response_w to chosen and response_l to rejected"),
    (("y_w", "y_l"), "rename y_w to chosen and y_l to rejected"),
    (("winner", "loser"), "rename winner to chosen and loser to rejected"),
)
_SINGLE = ("output", "completion", "response", "answer", "responses")
_NO_PAIR = "the rows have one response each, as for supervised fine-tuning, and no pairs"
_SAMPLE = "pipeline=on_policy samples pairs of responses to prompts"
_CONVERSATION = "the rows have a prompt or a conversation, and no pair of responses"


def how_to_make_pairs(names: Collection[str]) -> str | None:
    """Return how rows with these columns become pairs, None if their shape is not known."""
    for columns, remedy in _SHAPES:
        if set(columns) <= set(names):
            return remedy
    if {"chosen", "rejected"} & set(names):
        return None
    if "prompt" in names and any(name in names for name in _SINGLE):
        return f"{_NO_PAIR}; {_SAMPLE}"
    if "prompt" in names:  # also what conversations and messages are read as
        return f"{_CONVERSATION}; {_SAMPLE} (leave out the last response of a conversation)"
    return None
