"""The names that DeepSpeed reads from a configuration, as it ignores unknown ones."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.component import nearest

# DeepSpeed reads all names of these sections in any case; most other sections reject unknown names themselves.
_SECTIONS = ("activation_checkpointing", "data_types", "torch_autocast")


class _Read(dict[str, Any]):
    """A mapping that records the names that are read, those of nested mappings as `section.name`."""

    def __init__(self, content: Mapping[str, Any], names: set[str], place: str = "") -> None:
        self.names, self.place = names, place
        super().__init__(
            {
                key: _Read(value, names, f"{place}{key}.") if isinstance(value, Mapping) else value
                for key, value in content.items()
            }
        )

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(self.place + key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.names.add(self.place + key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.names.add(f"{self.place}{key}")
        return super().__contains__(key)

    def keys(self) -> Any:  # DeepSpeed evaluates `name in config.keys()`
        return self

    def __copy__(self) -> "_Read":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Read":
        return self


def names_read(config: Mapping[str, Any]) -> set[str]:
    """Return the names that DeepSpeed reads from a configuration, `section.name` inside its sections.

    Raises whatever DeepSpeed raises.
    """
    from deepspeed.runtime.config import DeepSpeedConfig

    names: set[str] = set()
    DeepSpeedConfig(_Read(config, names))
    return names


def refuse_unread(node: Mapping[str, Any], names: set[str]) -> None:
    """Raise ValueError for a name in a deepspeed node that DeepSpeed does not read. names: as names_read."""
    for section in ("", *_SECTIONS):
        inner, place = (node.get(section) or {}, f"{section}.") if section else (node, "")
        within = (name.removeprefix(place) for name in names if name.startswith(place))
        known = [name for name in within if "." not in name]
        for name, value in inner.items():
            if name not in known:
                raise ValueError(f"deepspeed.{place}{name}={value}: no such setting; {nearest(name, known)}")
