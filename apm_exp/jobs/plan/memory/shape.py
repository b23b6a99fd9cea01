"""The shape of a model node's model; without torch if the model is built here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.told import ask, told
from apm_exp.models.shape import Shape, llama, shape_of_folder
from apm_exp.pipeline.resolve import builds_model

_BUILDERS = {"apm_exp.data.worlds.micro_world.policy.sft_policy", "apm_exp.models.tiny_from_data.tiny_from_data"}


def shape_of_node(node: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a model that is built here, from its settings, with the largest vocabulary that it can learn.

    None for a builder of the user's own, whose model is unknown until it is built.
    """
    if node["_target_"] not in _BUILDERS:
        return None
    tiny = "vocabulary" in node
    vocabulary = int(node["vocabulary"]) if tiny else _micro_world_vocabulary()
    return llama(
        hidden=node["hidden"],
        layers=node["layers"],
        heads=node["heads"],
        intermediate=node["intermediate" if tiny else "feed_forward"],
        vocabulary=vocabulary,
        tied=True,
    )


def _micro_world_vocabulary() -> int:
    from apm_exp.data.worlds.micro_world.instructions import VOCABULARY

    return len(VOCABULARY) + 5  # the tokenizer's own: padding, begin, end, answer, unknown


def shape_of(node: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a model node's model; None if nothing is known of it."""
    if builds_model(node):
        return shape_of_node(node)
    folder = config_folder("model", node)
    return shape_of_folder(folder, bool(node["trust_remote_code"])) if folder else None


def config_folder(group: str, node: Mapping[str, Any]) -> Path | None:
    """Return a folder with the config.json of a node's model, without a download: `config_here` of its module."""
    if group == "model" and told(group, node, "config_here") is None:
        folder: Path = component.bind(group, node)()
        return folder
    found: Path | None = ask(group, node, "config_here")
    return found
