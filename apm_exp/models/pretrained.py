"""Existing models: a local Hugging Face folder, or one from the Hub."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

from apm_exp.core.errors import library_error
from apm_exp.core.types import TEMPLATE_DATE

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SNAPSHOT = re.compile(r"models--[^/]+/snapshots/[0-9a-f]{40}")  # the layout of the Hub client's cache
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md"]  # README.md has the license
_SHAPES = Path(__file__).parent / "shapes"  # config.json, what of it decides shapes, of the models that presets name
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.pt", "*.pth", "adapter_config.json")
_NOT_FILES = ["*/*", "consolidated*"]  # other formats of the same weights


def pretrained(
    *,
    path: str,
    revision: str | None,
    dtype: Literal["auto", "float32", "bfloat16", "float16"],
    attention: str,
    trust_remote_code: bool,
    chat_template: str | None,
    chat_template_kwargs: dict[str, Any] | None = None,
    template_date: str = TEMPLATE_DATE,
) -> Path:
    """Return the local folder of a model: `path` if it is a folder, else the Hub's, downloaded unless it is cached.

    revision: branch, tag or commit on the Hub. The other settings say how it is loaded: models/load.py. Raises a
    one-line ValueError if there is no such folder, if the Hub is unreachable and the model is not cached, or if the
    folder contains an adapter beside the model.
    """
    return folder_of("model", path, revision, trust_remote_code)


def folder_of(group: str, path: str, revision: str | None, trust_remote_code: bool) -> Path:
    """Return the folder as `pretrained` does; `group` ("model", "reward") is the group that errors name."""
    folder = Path(path).expanduser()
    if path and folder.is_dir():
        if revision is not None:
            raise ValueError(f"{group}.revision={revision}: {path} is a local folder; set {group}.revision=null")
        return _whole(folder, f"{group}.path={path}")
    if folder.exists() or not _HUB_NAME.fullmatch(path):
        raise ValueError(f"{group}.path={path}: no such folder; set a Hugging Face model folder or a Hub name")
    try:
        folder = _snapshot(path, revision, trust_remote_code)
    except (OSError, ValueError, RuntimeError) as error:  # includes the exceptions of the Hub's client and of HTTP
        raise ValueError(
            f"{group}.path={path}: no such folder, and not available from the Hugging Face Hub "
            f"({library_error(error)}); set a local folder, or download it on a machine with network access with "
            f"`hf download {path}`"
        ) from error
    return _whole(folder, f"{group}.path={path}")


def _whole(folder: Path, label: str) -> Path:
    """Return the folder; raises ValueError if it contains an adapter beside a model.

    transformers silently applies such an adapter to the weights, even if it was already merged into them.
    """
    if (folder / "config.json").is_file() and (folder / "adapter_config.json").is_file():
        remedy = "if it is merged into the weights, move adapter_config.json and adapter_model.* away, else merge it"
        raise ValueError(f"{label}: the folder has an adapter, which transformers would apply again; {remedy}")
    return folder


def is_here(*, path: str, revision: str | None) -> bool:
    """Return whether a model's folder is available without a download: it is local or in the Hub's cache."""
    if Path(path).expanduser().is_dir() or not _HUB_NAME.fullmatch(path):
        return True  # or invalid, which loading will report
    folder = _cached(path, revision)
    return folder is not None and has_weights(folder)


def has_weights(folder: Path) -> bool:
    """Return whether a folder holds weights of any kind, or something else that loading will report."""
    return not (folder / "config.json").is_file() or any(any(folder.glob(pattern)) for pattern in _WEIGHTS)


def config_here(*, path: str, revision: str | None) -> Path | None:
    """Return a folder with the model's config.json, without a download.

    It is the model's own, local or in the Hub's cache, or that of a preset (models/shapes); None if there is none.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(path):
        return None
    shipped = _SHAPES / path
    return _cached(path, revision) or (shipped if (shipped / "config.json").is_file() else None)


def _cached(path: str, revision: str | None) -> Path | None:
    """Return the snapshot in the Hub's cache if it has a config.json."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(path, revision=revision, allow_patterns="config.json", local_files_only=True))
    except (OSError, ValueError):
        return None
    return folder if (folder / "config.json").is_file() else None


def commit_of(folder: Path) -> str | None:
    """Return the commit of a folder in the Hub's cache, which identifies its content; None for any other folder."""
    return folder.name if _SNAPSHOT.fullmatch("/".join(folder.parts[-3:])) else None


@cache  # queries the Hub once per process
def _snapshot(name: str, revision: str | None, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = [*_FILES, "*.py"] if trust_remote_code else _FILES
    return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=_NOT_FILES))
