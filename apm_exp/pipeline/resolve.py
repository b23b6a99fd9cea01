"""Resolve the names in a configuration: commits of the Hub, the dtype, the starting policy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.nested import changed, every
from apm_exp.core.told import ask
from apm_exp.core.types import TEMPLATE_DATE, Policy
from apm_exp.models.pretrained import commit_of
from apm_exp.pipeline.step import Step
from apm_exp.runtime.accelerators import is_elsewhere
from apm_exp.runtime.device import multiplies_bfloat16, pick_device

Node = Mapping[str, Any]


def pinned_dataset(node: Node, task: str) -> Node:
    """Return a dataset node as `pinned` does. Raises ValueError as the dataset's own `pin`."""
    return pinned("dataset", node, task)


def pinned_reward(node: Node, task: str) -> Node:
    """Return a reward node as `pinned` does. Raises ValueError as the reward source's own `pin`."""
    return pinned("reward", node, task)


def pinned(group: str, node: Node, task: str) -> Node:
    """Return a node with the commits of all that it takes from the Hub, by `pin` in the module of each component.

    Repositories that are not cached are downloaded. A plan downloads nothing, and leaves nodes that are not cached as
    they are.
    """

    def pin(place: str, each: Node) -> Node:
        leave = task == "plan" and ask(place, each, "is_here") is False
        return each if leave else {**each, **(ask(place, each, "pin") or {})}

    result: Node = changed(group, node, pin)
    return result


def is_here(group: str, node: Node) -> bool:
    """Return whether all that a node takes from the Hub is cached, by `is_here` in the module of each component.

    It is False too if the commit is not known without a request.
    """
    return all(ask(place, each, "is_here") is not False for place, each in every(group, node))


Config = Mapping[str, Any]


def builds_model(node: Config) -> bool:
    """Return whether a model node names a builder (it takes `out`) rather than existing weights."""
    return "out" in component.positional_names(component.locate("model", node))


def needs_pairs(node: Config) -> bool:
    """Return whether a model is built from the pairs."""
    return "pairs" in component.positional_names(component.locate("model", node))


def resolve_dtype(name: str, runtime: Config) -> str:
    """Return the dtype; for `auto`, bfloat16 if the device multiplies it faster (as plans assume), else float32."""
    if name != "auto":
        return name
    if is_elsewhere(runtime):
        return "bfloat16"
    return "bfloat16" if multiplies_bfloat16(pick_device(dict(runtime))) else "float32"


def _rounds_products(dtype: str, runtime: Config) -> bool:
    """Return whether CUDA may round the factors of float32 products (TF32), which changes the log-probs."""
    return dtype == "float32" and bool(runtime.get("tf32")) and pick_device(dict(runtime)).startswith("cuda")


def starting_policy(config: Config, made_by: Step | None, digests: FileDigests) -> Policy:
    """Return the policy that is scored and trained. made_by: the step that builds it; None if its weights exist."""
    node = config["model"]
    if made_by is not None:
        folder, key, local = made_by.folder / "final", made_by.key, False
    else:
        folder, key, local = _given_weights(config, digests)
    template, dtype = node.get("chat_template"), resolve_dtype(node["dtype"], config["runtime"])
    return Policy(
        folder=folder,
        key=key,
        dtype=dtype,
        attention=node["attention"],
        trust_remote_code=node["trust_remote_code"],
        chat_template=Path(template).read_text() if template else None,
        chat_template_kwargs=node.get("chat_template_kwargs"),
        template_date=node.get("template_date", TEMPLATE_DATE),
        tf32=_rounds_products(dtype, config["runtime"]),
        made_by=made_by,
        local=local,
    )


def _given_weights(config: Config, digests: FileDigests) -> tuple[Path, str, bool]:
    """Return a model's folder, its identity, and whether that is the digest of its content (else a commit).

    A plan downloads nothing: the identity of a model that is not cached is its revision.
    """
    node = config["model"]
    if config["task"] == "plan" and not is_here("model", node):
        return Path(node["path"]), str(node["revision"]), False
    folder = component.bind("model", node)()
    commit = commit_of(folder)
    return folder, commit or digests.of_path(folder), commit is None
