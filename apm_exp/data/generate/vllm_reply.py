"""A response from what a server has returned for a prompt of token ids."""

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apm_exp.core.types import Refusal
from apm_exp.data.endpoint.replies import Reply
from apm_exp.data.generate.samples import Response

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def response_of(
    reply: Reply, tokenizer: "PreTrainedTokenizerBase", prompt_ids: Sequence[int], ends: Sequence[int]
) -> Response | Refusal:
    """Return a response with the server's token ids and log-prob, or with its text alone if it returns no ids.

    ends: the tokens that end a response. Raises ValueError if the server has read other prompt tokens than it was sent.
    """
    ids = reply.choice.get("token_ids")
    if not isinstance(ids, list) or not ids:
        if not reply.text and not reply.is_truncated and reply.output_tokens == 0:
            return Refusal("empty response", f"finish_reason={reply.ended} and no tokens")
        return Response(reply.text, not reply.is_truncated, reply.output_tokens)
    read = reply.choice.get("prompt_token_ids")
    if isinstance(read, list) and read != list(prompt_ids):
        problem = f"the server has read {len(read)} prompt tokens that are not the {len(prompt_ids)} that it was sent"
        raise ValueError(f"generate.endpoint: {problem}; its tokenizer or options change them")
    logp = _logp(reply.choice, len(ids))
    if reply.ended == "stop" and ids[-1] not in ends:  # a server that leaves the end token out
        stop = reply.choice.get("stop_reason")
        ids, logp = [*ids, stop if stop in ends else tokenizer.eos_token_id], None
    finished = ids[-1] in ends
    shown = ids[: len(ids) - finished]
    (text,) = tokenizer.batch_decode([shown], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Response(text, finished, len(ids), logp, array("i", prompt_ids), array("i", ids))


def _logp(choice: Mapping[str, Any], length: int) -> float | None:
    """Return the sum of the tokens' log-probs; None unless there is one for each token."""
    each = (choice.get("logprobs") or {}).get("token_logprobs")
    if not isinstance(each, list) or len(each) != length or not all(isinstance(value, int | float) for value in each):
        return None
    return float(sum(each))
