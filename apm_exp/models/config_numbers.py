"""Whether the numbers of a config.json can be those of the weights beside it; the headers alone are looked at."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from transformers import PreTrainedModel

from apm_exp.models.quiet import quiet

_ALL_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")  # others count some of them, and may be 0
_LAYERS = re.compile(r"(^|_)(num|n)_([a-z]+_)*layers?$")


def check_layers(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], label: str) -> None:
    """Raise ValueError for no layers, and for more than there are tensors: each takes memory without weights, too."""
    for name, layers in _numbers_of_layers(config):
        if layers > len(shapes) or (layers < 1 and name in _ALL_LAYERS):
            problem = f"config.json has {name}={layers}, and there are {len(shapes)} tensors in all"
            raise ValueError(f"{label}: {problem}; fetch config.json again")


def _numbers_of_layers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _numbers_of_layers(value)
        elif _LAYERS.search(name) and isinstance(value, int):
            yield name, value


def told_of_loading(model: PreTrainedModel, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """What transformers would tell of loading tensors of these names and shapes into the model; no tensor is read.

    It knows what older checkpoints call them (GPT-NeoX's `embed_out`), what is tied and what is put together from
    parts. Empty if it cannot say without the tensors: loading will.
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
    """Raise ValueError for a tensor of another shape than config.json asks for: its weights would be random."""
    if mismatched := sorted(told.get("mismatched_keys", ()), key=str):
        name, there, wanted = mismatched[0]
        more = f" (and {len(mismatched) - 1} more)" if len(mismatched) > 1 else ""
        problem = f"{name} has shape {list(there)}, and config.json asks for {list(wanted)}{more}"
        raise ValueError(f"{label}: {problem}; fetch config.json again")
