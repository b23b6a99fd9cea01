"""The adapters that ship, as nodes."""

from typing import Any

from omegaconf import OmegaConf

from tests.training.cases import CONF


def adapter(name: str, **changes: Any) -> dict[str, Any]:
    """conf/adapter/<name>.yaml with other values."""
    lora = OmegaConf.to_container(OmegaConf.load(CONF / "adapter" / "lora.yaml"))
    own = OmegaConf.to_container(OmegaConf.load(CONF / "adapter" / f"{name}.yaml"))
    assert isinstance(lora, dict)
    assert isinstance(own, dict)
    node = {**lora, **own, **changes}
    node.pop("defaults", None)
    return {str(key): value for key, value in node.items()}
