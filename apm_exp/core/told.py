"""Optional properties of a component, declared in its own module.

docs/extending.md lists their names. They make it unnecessary to compare components by name.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from apm_exp.core import component


def told(group: str, node: Mapping[str, Any], name: str) -> Any:
    """Return the value of a name in the module of a node's component, or None. Raises ValueError as `locate`."""
    return getattr(inspect.getmodule(component.locate(group, node)), name, None)


def ask(group: str, node: Mapping[str, Any], name: str, *given: Any) -> Any:
    """Call the module's function of this name and return its result, or None if the module has none.

    The function is called with `given`, and with the settings of the node that its keyword-only parameters name. Raises
    ValueError as `locate`, for a setting that the node lacks, and what the function raises.
    """
    function = told(group, node, name)
    if function is None:
        return None
    settings = component.settings_of(function, node)
    if lacking := [each for each in component.required_names(function) if each not in settings]:
        problem = f"{name}() in its file asks for {', '.join(lacking)}, which it has not"
        raise ValueError(f"{group}._target_={node['_target_']}: {problem}; keep one component a file")
    return function(*given, **settings)
