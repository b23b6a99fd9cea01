"""Removal of a model's randomness for training: dropout of any kind, layer drop, and router jitter.

Some models keep a probability in a dropout module, others in a number that their code reads from the configuration when
they are built or at every forward. All of them are found by their names and set to zero.
"""

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from apm_exp.core.types import Policy

_NOISE = re.compile(r"drop|jitter")


def config_without_noise(policy: Policy) -> Any:
    """Return the configuration of a policy's model with every dropout and jitter probability set to zero."""
    config = AutoConfig.from_pretrained(
        policy.folder, local_files_only=True, trust_remote_code=policy.trust_remote_code
    )
    zero_noise(config)
    return config


def zero_noise(config: Any) -> None:
    """Set every dropout and jitter probability in a configuration, and in nested ones, to zero."""
    for part in _parts(config):
        _zero(part)


def without_dropout(model: nn.Module) -> None:
    """Set every dropout and jitter probability of an instantiated model to zero."""
    zero_noise(getattr(model, "config", None))
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        _zero(vars(module))


def _parts(config: Any) -> Iterator[MutableMapping[str, Any]]:
    values = vars(config) if isinstance(config, PreTrainedConfig) else config
    if isinstance(values, MutableMapping):
        yield values
        for value in list(values.values()):
            yield from _parts(value)


def _zero(values: MutableMapping[str, Any]) -> None:
    for name, value in list(values.items()):
        if isinstance(name, str) and _NOISE.search(name) and _is_probability(value):
            values[name] = 0.0


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
