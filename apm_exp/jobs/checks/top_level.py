"""Check the settings at the top of the configuration: names, types and ranges."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from apm_exp.core import component
from apm_exp.core.ranges import Alpha
from apm_exp.runtime.accelerators import accelerator

NODES = (
    *("dataset", "model", "reward", "generate", "tokens", "metric", "keep", "loss", "trainer", "runtime"),
    *("alpha_rule", "adapter", "deepspeed", "evals", "tracking", "compare", "pipeline", "pairing", "evolve"),
)
OPEN_NODES = ("deepspeed",)  # checked by its own library


def top_level(
    *,
    task: Literal["run", "plan", "status", "clean", "export"],
    clean: dict[Literal["delete"], bool],
    run: str | int | float,
    export: dict[str, Any],
    alpha: Alpha,
    seed: Annotated[int, Field(ge=0, lt=2**32)],
    output_root: Annotated[str, Field(min_length=1)],
    baseline: str | float | list[str | float] | None,
    rebuild: Annotated[str, Field(min_length=1)],
    until: Annotated[str, Field(min_length=1)] | None,
    iterations: Annotated[int, Field(ge=1, le=1000)],
    hyperparameters: str,
    trusted_packages: list[str],
) -> None:
    """Declare the settings outside the groups; conf/config.yaml describes them."""


def export(
    *,
    path: Annotated[str, Field(min_length=1)] | None,
    overwrite: bool,
    policy: bool,
    push: Annotated[str, Field(min_length=1)] | None,
    private: bool,
    sort: Literal["value", "pair_id"],
) -> None:
    """Declare the settings of task=export; conf/config.yaml describes them."""


def check_top_level(config: Mapping[str, Any]) -> None:
    """Check the settings at the top. Raises ValueError with `key=value: what is wrong`."""
    values = {key: value for key, value in config.items() if key not in NODES}
    try:
        component.check("", values, (top_level,))
    except ValueError as error:
        raise ValueError(" | ".join(part.removeprefix(".") for part in str(error).split(" | "))) from None
    component.check("export", config["export"], (export,))
    _check_plan_for(config["task"], config["runtime"])


def _check_plan_for(task: str, runtime: Any) -> None:
    """Raise ValueError if runtime.plan_for is not a known device, or if the task is not a plan."""
    name = runtime.get("plan_for") if isinstance(runtime, Mapping) else None
    if name is None:
        return
    accelerator(name)
    if task != "plan":
        raise ValueError(f"runtime.plan_for={name}: is for task=plan; write task=plan, or runtime.plan_for=null")
