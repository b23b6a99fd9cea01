"""The arguments of transformers' TrainingArguments that `trainer.args` accepts."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from apm_exp.core import component
from apm_exp.core.ranges import Count

_BY_NAME = re.compile(r"\s*\w+\s*=[^,]+(,\s*\w+\s*=[^,]+)*")


def _by_name(text: str) -> str:
    if not _BY_NAME.fullmatch(text):
        raise ValueError("not settings by name; write 'NAME=VALUE,NAME=VALUE'")
    return text


def passed(
    *,
    max_steps: Count = 1,
    lr_scheduler_kwargs: dict[str, Any] | None = None,
    optim_args: Annotated[str, AfterValidator(_by_name)] | None = None,
    optim_target_modules: str | list[str] | None = None,
    gradient_checkpointing_kwargs: dict[str, Any] | None = None,
    activation_checkpointing_kwargs: dict[str, Any] | None = None,
    torch_empty_cache_steps: Count | None = None,
    full_determinism: bool = False,
    debug: Literal["underflow_overflow", ""] = "",
    ddp_find_unused_parameters: bool | None = None,
    ddp_bucket_cap_mb: Count | None = None,
    ddp_broadcast_buffers: bool | None = None,
    ddp_static_graph: bool | None = None,
    ddp_backend: Literal["gloo", "nccl", "mpi", "ucc"] | None = None,
    ddp_timeout: Count = 1800,
) -> None:
    """Declare the accepted arguments and their types; transformers documents them and has the defaults.

    The other arguments concern what this trainer does not do or does itself: evaluation, batches, saving, the Hub.
    """


PASSED = frozenset(component.setting_names(passed))
