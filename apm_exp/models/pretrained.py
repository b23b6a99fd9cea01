"""Models that exist: a local Hugging Face folder, or one from the Hub."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from apm_exp.core.errors import library_error
from apm_exp.core.types import TEMPLATE_DATE

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SNAPSHOT = re.compile(r"models--[^/]+/snapshots/[0-9a-f]{40}")  # as the Hub's client lays out its cache
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md"]  # the last has the licence
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
    """The local folder of a model: `path` where that is a folder, else the Hub's, downloaded if it is not cached.

    revision: branch, tag or commit on the Hub. The other settings say how it is loaded: models/load.py. Raises a
    one-line ValueError where there is no such folder, or the Hub cannot be reached and the model is not cached, and for
    a folder that has an adapter beside the model.
    """
    return folder_of("model", path, revision, trust_remote_code)


def folder_of(group: str, path: str, revision: str | None, trust_remote_code: bool) -> Path:
    """As `pretrained`; `group` ("model", "reward") is the group that errors name."""
    folder = Path(path).expanduser()
    if path and folder.is_dir():
        if revision is not None:
            raise ValueError(f"{group}.revision={revision}: {path} is a local folder; leave {group}.revision=null")
        return _whole(folder, f"{group}.path={path}")
    if folder.exists() or not _HUB_NAME.fullmatch(path):
        raise ValueError(f"{group}.path={path}: no such folder; give a Hugging Face model folder or a Hub name")
    try:
        folder = _snapshot(path, revision, trust_remote_code)
    except (OSError, ValueError, RuntimeError) as error:  # those of the Hub's client and of HTTP are among them
        raise ValueError(
            f"{group}.path={path}: no such folder, and not to be had from the Hugging Face Hub "
            f"({library_error(error)}); give a local folder, or fetch it where there is a network with "
            f"`hf download {path}`"
        ) from error
    return _whole(folder, f"{group}.path={path}")


def _whole(folder: Path, label: str) -> Path:
    """The folder, unless it has an adapter beside a model: transformers applies it to whatever weights it loads there,
    without a word, and also where it was merged into them before they were saved.
    """
    if (folder / "config.json").is_file() and (folder / "adapter_config.json").is_file():
        remedy = "if it is merged into the weights, move adapter_config.json and adapter_model.* out, else merge it"
        raise ValueError(f"{label}: an adapter lies beside the model, and transformers would apply it again; {remedy}")
    return folder


def is_here(node: Mapping[str, Any]) -> bool:
    """Whether a model node's folder can be had without a download: it is local, or in the Hub's cache."""
    if "path" not in node or Path(node["path"]).expanduser().is_dir() or not _HUB_NAME.fullmatch(node["path"]):
        return True  # or wrong, which loading it will say
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(node["path"], revision=node["revision"], allow_patterns="config.json", local_files_only=True)
    except (OSError, ValueError):
        return False
    return True


def commit_of(folder: Path) -> str | None:
    """The commit of a folder in the Hub's cache, which stands for its content; None for any other folder."""
    return folder.name if _SNAPSHOT.fullmatch("/".join(folder.parts[-3:])) else None


@cache  # one question to the Hub a process, however often the folder is asked for
def _snapshot(name: str, revision: str | None, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = [*_FILES, "*.py"] if trust_remote_code else _FILES
    return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=_NOT_FILES))
