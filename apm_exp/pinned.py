"""What comes from the Hub, by its commit: what moves there must not keep its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp import component
from apm_exp.models.pretrained import commit_of, folder_of, is_here

Node = Mapping[str, Any]


def pinned_dataset(node: Node, task: str) -> Node:
    """A Hub dataset with the commit in the place of its revision; any other as it is.

    Raises ValueError where the commit is not known; a plan goes by the revision then.
    """
    from apm_exp.data import hub

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
    from apm_exp.rewards.classifier import classifier

    return component.locate("reward", node) is classifier
