"""Detect inputs that were edited while a run read them: a result could then mix the old content with the new."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.component_sources import loaded_source
from apm_exp.core.credentials import flatten
from apm_exp.core.types import Policy
from apm_exp.pipeline.step import Step


def edited(step: Step) -> str | None:
    """Return the first input of a step, as `group.setting=value`, that has changed since its key was computed, or None.

    Data, weights and other files that settings name are read again only if their size or times on disk have changed.
    The source of a component must be the same as in the key, and the same that was imported.
    """
    known = dict(flatten(step.identity))
    try:
        for now in (step.identify(step.digests.of_file), step.identify(loaded_source)):
            content = dict(flatten(now))
            for name in known | content:
                if known.get(name) != content.get(name):
                    return _typed(step.inputs, name)
    except OSError as error:
        return str(error.filename)
    return None


def _typed(inputs: Mapping[str, Any], name: str) -> str:
    """Return the setting that a part of the identity comes from, as a user would type it."""
    _, *nodes, setting = name.split(".")
    value: Any = inputs
    for node in nodes:
        value = value[node]
    if isinstance(value, Policy):
        return f"model.path={value.folder}"
    setting = "_target_" if setting == "_source_" else setting
    return f"{'.'.join(nodes)}.{setting}={value[setting]}"
