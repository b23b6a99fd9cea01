"""The hooks of reward sources with one model, a folder or a name on the Hub: settings `path` and `revision`."""

from pathlib import Path
from typing import Any

from apm_exp.models.pretrained import commit_of, folder_of
from apm_exp.models.pretrained import config_here as model_config_here
from apm_exp.models.pretrained import is_here as model_is_here


def pin(*, path: str, revision: str | None, trust_remote_code: bool = False) -> dict[str, Any]:
    """Return the commit of a model on the Hub as `revision`; it is downloaded if not cached. Raises as folder_of."""
    if Path(path).expanduser().is_dir():
        return {}
    return {"revision": commit_of(folder_of("reward", path, revision, trust_remote_code))}


def is_here(*, path: str, revision: str | None) -> bool:
    """Return whether the model can be loaded without a download."""
    return model_is_here(path=path, revision=revision)


def config_here(*, path: str, revision: str | None) -> Path | None:
    """Return a folder with the model's config.json, without a download; None if there is none."""
    return model_config_here(path=path, revision=revision)
