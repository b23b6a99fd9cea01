"""The reference of an implicit reward: a language model with the tokens of the policy."""

from pathlib import Path
from typing import Any

from apm_exp.models.pretrained import commit_of, folder_of
from apm_exp.models.pretrained import is_here as model_is_here

GROUP = "reward.reference"


def reference_model(*, path: str, revision: str | None, trust_remote_code: bool) -> Path:
    """Return the local folder of the reference, downloaded unless it is cached."""
    return folder_of(GROUP, path, revision, trust_remote_code)


def pin(*, path: str, revision: str | None, trust_remote_code: bool) -> dict[str, Any]:
    """Return the commit of a model on the Hub as `revision`; it is downloaded if not cached. Raises as folder_of."""
    if Path(path).expanduser().is_dir():
        return {}
    return {"revision": commit_of(folder_of(GROUP, path, revision, trust_remote_code))}


def is_here(*, path: str, revision: str | None) -> bool:
    """Return whether the model can be loaded without a download."""
    return model_is_here(path=path, revision=revision)
