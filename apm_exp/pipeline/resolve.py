"""What comes from the Hub, by its commit: what moves there must not keep its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.types import TEMPLATE_DATE, Policy
from apm_exp.models.pretrained import commit_of, folder_of, is_here
from apm_exp.pipeline.step import Step
from apm_exp.runtime.device import multiplies_bfloat16, pick_device

Node = Mapping[str, Any]


def pinned_dataset(node: Node, task: str) -> Node:
    """A Hub dataset with the commit in the place of its revision; any other as it is.

    Raises ValueError where the commit is not known; a plan goes by the revision then.
    """
    from apm_exp.data.sources import hub

    if component.locate("dataset", node) is not hub.hub:
        return node
    try:
        return {**node, "revision": hub.commit_of(node["path"], node["revision"], node["subset"])}
    except ValueError:
        if task != "plan":
            raise
        return node


def pinned_reward(node: Node, task: str) -> Node:
    """A reward model on the Hub with its snapshot's commit in the place of the revision; any other source as it is.

    Downloads the model where it is not cached; a plan downloads nothing and goes by the revision. Raises ValueError as
    folder_of.
    """
    if not is_reward_model(node) or Path(node["path"]).expanduser().is_dir():
        return node
    if task == "plan" and not reward_is_here(node):
        return node
    folder = folder_of("reward", node["path"], node["revision"], node["trust_remote_code"])
    return {**node, "revision": commit_of(folder)}


def reward_is_here(node: Node) -> bool:
    """Whether a reward node's model can be had without a download; other sources than a reward model have none."""
    return not is_reward_model(node) or is_here(node)


def is_reward_model(node: Node) -> bool:
    """Whether a reward node names the classifier of this project, with a folder or a Hub name as its path."""
    from apm_exp.data.rewards.classifier import classifier

    return component.locate("reward", node) is classifier


Config = Mapping[str, Any]


def builds_model(node: Config) -> bool:
    """Whether a model node names a builder (it takes `out`) rather than weights that exist."""
    return "out" in component.positional_names(component.locate("model", node))


def needs_pairs(node: Config) -> bool:
    """Whether a model is built from the pairs."""
    return "pairs" in component.positional_names(component.locate("model", node))


def resolve_dtype(name: str, runtime: Config) -> str:
    """`auto` becomes bfloat16 where the device multiplies it faster, float32 elsewhere."""
    if name != "auto":
        return name
    return "bfloat16" if multiplies_bfloat16(pick_device(dict(runtime))) else "float32"


def _rounds_products(dtype: str, runtime: Config) -> bool:
    """Whether CUDA may round the factors of float32 products, which is part of what the log-probs are."""
    return dtype == "float32" and bool(runtime.get("tf32")) and pick_device(dict(runtime)).startswith("cuda")


def starting_policy(config: Config, made_by: Step | None, digests: FileDigests) -> Policy:
    """Return the policy that is scored and trained. made_by: the step that builds it; None if it exists."""
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
    """Return a model's folder, what identifies it, and whether that is its content.

    A plan downloads nothing and goes by the revision.
    """
    node = config["model"]
    if config["task"] == "plan" and not is_here(node):
        return Path(node["path"]), str(node["revision"]), False
    folder = component.bind("model", node)()
    commit = commit_of(folder)
    return folder, commit or digests.of_path(folder), commit is None
