"""The loss nodes that ship, by name."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

FOLDER = Path(__file__).parents[3] / "conf" / "loss"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def node(name: str, **settings: Any) -> dict[str, Any]:
    """conf/loss/<name>.yaml with other settings."""
    shipped = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    assert isinstance(shipped, dict)
    unknown = set(settings) - set(shipped)
    assert not unknown, f"loss={name} has no {unknown}"
    return {**{str(key): value for key, value in shipped.items()}, **settings}
