"""Consistency checks of config.json with the names and shapes of the weights; only safetensors headers are read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from transformers import PreTrainedModel

from apm_exp.models.quiet import quiet

# other settings count a subset of the layers and may be 0
_ALL_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
_LAYERS = re.compile(r"(^|_)(num|n)_([a-z]+_)*layers?$")


def check_layers(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], label: str) -> None:
    """Raise ValueError if config.json has no layers, or more layers than there are tensors.

    Each layer would take memory even without weights.
    """
    for name, layers in _numbers_of_layers(config):
        if layers > len(shapes) or (layers < 1 and name in _ALL_LAYERS):
            problem = f"config.json: {name}={layers}: there are {len(shapes)} tensors in all"
            raise ValueError(f"{label}: {problem}; download config.json again")


def _numbers_of_layers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _numbers_of_layers(value)
        elif _LAYERS.search(name) and isinstance(value, int):
            yield name, value


def told_of_loading(model: PreTrainedModel, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return transformers' loading report for tensors of these names and shapes, without reading a tensor.

    transformers knows older names (GPT-NeoX's `embed_out`), tied weights, and weights that are assembled from several
    tensors. Returns an empty dict if it cannot tell without the tensors; loading the model will then report the
    problem.
    """
    if getattr(model.config, "quantization_config", None):
        return {}
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    kind: Any = type(model)
    more = {"output_loading_info": True, "device_map": "meta", "ignore_mismatched_sizes": True}
    try:
        with quiet():
            _, told = kind.from_pretrained(None, config=deepcopy(model.config), state_dict=tensors, **more)
    except Exception:
        return {}
    return dict(told)


def check_shapes(told: Mapping[str, Any], label: str) -> None:
    """Raise ValueError for a tensor whose shape differs from config.json's, as it would be initialized randomly."""
    if mismatched := sorted(told.get("mismatched_keys", ()), key=str):
        name, stored, wanted = mismatched[0]
        more = f" (and {len(mismatched) - 1} more)" if len(mismatched) > 1 else ""
        problem = f"{name} has shape {list(stored)}, but config.json specifies {list(wanted)}{more}"
        raise ValueError(f"{label}: {problem}; download config.json again")
