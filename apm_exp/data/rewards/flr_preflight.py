"""Checks of the language model that rewards by follow-ups, without loading its weights."""

from collections.abc import Sequence
from pathlib import Path

from apm_exp.data.rewards.conversation_ids import chat_tokenizer
from apm_exp.data.rewards.flr_tokens import follow_up_tokens
from apm_exp.data.rewards.flr_turns import Layout
from apm_exp.models.context import context_length
from apm_exp.models.preflight import preflight


def check_folder(
    folder: Path,
    path: str,
    dtype: str,
    layout: Layout,
    texts: Sequence[str],
    max_length: int,
    *,
    trust_remote_code: bool,
) -> None:
    """Check that a folder has a causal language model whose chat template accepts the follow-ups, and room for them.

    Raises a one-line ValueError that starts with the setting to change.
    """
    label, loaded = f"reward.path={path}", {"dtype": dtype, "attention": "auto", "trust_remote_code": trust_remote_code}
    if not (folder / "config.json").is_file():
        raise ValueError(f"{label}: no config.json; use the folder of a causal language model")
    tokenizer = chat_tokenizer(folder, label, trust_remote_code)
    needed = follow_up_tokens(tokenizer, layout, texts, label).longest + 1
    try:
        model, _ = preflight(folder, {"path": path, "chat_template": None, **loaded})
    except ValueError as error:
        raise ValueError(str(error).replace("model.path=", "reward.path=", 1)) from error
    most = context_length(model)
    if most is not None and needed > most:
        problem = f"accepts {most} tokens, and the longest follow-up alone has {needed - 1}"
        raise ValueError(f"{label}: {problem}; use shorter reward.follow_ups, or another model")
    if needed > max_length:
        problem = f"the longest follow-up alone has {needed - 1} tokens"
        raise ValueError(f"reward.max_length={max_length}: {problem}; set more, best the model's context length")
