"""End-of-turn tokens in the generation_config.json of a trained policy."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from apm_exp.core.files import write_json
from apm_exp.models.tokens.end_tokens import end_tokens


def write_end_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Add the end tokens that the policy was trained with to its generation configuration.

    A base model that is trained with a chat template has another end token there, or none, and would not stop. The rest
    of the file is kept; if there is no file, one with the tokenizer's special tokens is written.
    """
    path = folder / "generation_config.json"
    named = {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config: dict[str, Any] = json.loads(path.read_text()) if path.exists() else named
    ends = end_tokens(tokenizer, config.get("eos_token_id"))
    write_json(config | {"eos_token_id": ends if len(ends) > 1 else ends[0]}, path)
