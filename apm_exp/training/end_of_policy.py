"""Where a trained policy stops: the end tokens of its generation_config.json."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from apm_exp.core.files import write_json
from apm_exp.models.tokens.end_tokens import end_tokens


def write_end_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Add the end tokens that the policy was trained with to its own, so that whoever loads it stops at them.

    A base model that is trained with a chat template has another end token in its generation configuration, or none.
    Everything else in the file stays; a folder without the file gets one with the tokenizer's control tokens.
    """
    path = folder / "generation_config.json"
    named = {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config: dict[str, Any] = json.loads(path.read_text()) if path.exists() else named
    ends = end_tokens(tokenizer, config.get("eos_token_id"))
    write_json(config | {"eos_token_id": ends if len(ends) > 1 else ends[0]}, path)
