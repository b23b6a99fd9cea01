"""Whether two machines were started with the same command and the same software."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.credentials import flatten
from apm_exp.runtime.provenance import versions


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting by its dotted name, but for the node's number, and the versions of the packages."""
    settings = {name: value for name, value in flatten(config) if name != "runtime.node_rank"}
    return settings | {f"versions.{name}": version for name, version in versions().items()}


def difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """The first setting that is not the same on the other machine as here (on node 0), in words; None without one."""
    for name in sorted(theirs.keys() | ours.keys()):
        if (there := theirs.get(name)) != (here := ours.get(name)):
            remedy = "type the same command, with the same software, on all nodes"
            return f"{name}={there}: it is {here} on node 0; {remedy}"
    return None
