"""Application of a token profile to rows of pairs.parquet; the profile gets the columns that its parameters name."""

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from apm_exp.core import component
from apm_exp.core.messages import read_messages, read_tools
from apm_exp.core.types import Refusal, TokenizedPair
from apm_exp.models.tokens.sampled import Sampled

logger = logging.getLogger(__name__)
_TAKES_NO_TOOLS = Refusal("tools", "the row has tools, which the token profile does not support; use another tokens=")


def profiled(profile: Any, tokenizer: Any, rows: pa.Table, sampled: Sampled) -> list[TokenizedPair | Refusal]:
    """Return the profile's result for each row; rows with tools are refused if the profile does not support them.

    sampled: for each row, the tokens with which it was sampled, or None.
    """
    takes = component.positional_names(profile.func)
    texts = [[*map(read_messages, rows[name].to_pylist())] for name in ("prompt", "chosen", "rejected")]
    tools = [*map(read_tools, rows["tools"].to_pylist())]
    asked = [row for row, each in enumerate(tools) if not each or "tools" in takes]
    also = {name: column for name, column in (("tools", tools), ("sampled", sampled)) if name in takes}
    columns = ([text[row] for row in asked] for text in texts)
    more = {name: [column[row] for row in asked] for name, column in also.items()}
    results = dict(zip(asked, profile(tokenizer, *columns, **more), strict=True))
    return [results.get(row, _TAKES_NO_TOOLS) for row in range(len(rows))]


def digest_for_sampled(tokenizer: Any, pairs: pa.Table, profile: Any, tokens: Mapping[str, Any]) -> str | None:
    """Return the tokenizer's digest (tokens/identity.py) if pairs have sampled tokens and the profile uses them, else
    None.

    Logs a message if sampled tokens are not used.
    """
    if "tokenizer" not in pairs.column_names:
        return None
    if "sampled" not in component.positional_names(profile.func):
        logger.info(
            "tokens._target_=%s: does not use sampled tokens; the responses are tokenized again", tokens["_target_"]
        )
        return None
    from apm_exp.models.tokens.identity import tokenizer_digest

    digest = tokenizer_digest(tokenizer)
    if others := len(pairs) - (pc.sum(pc.equal(pairs["tokenizer"], digest)).as_py() or 0):
        logger.warning(
            "%d of %d pairs were sampled with another tokenizer or chat template; their texts are tokenized again",
            *(others, len(pairs)),
        )
    return digest
