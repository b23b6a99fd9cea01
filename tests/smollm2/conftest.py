"""A real instruction-tuned policy of 135 million weights."""

import importlib.util
from pathlib import Path

import pytest

from apm_exp.core.types import Policy
from tests.smollm2.folder import NotAvailable, cache_folder, smollm2_folder


@pytest.fixture(scope="session")
def smollm2() -> Policy:
    """SmolLM2-135M-Instruct, computed in float32; the test is skipped if its package cannot be had."""
    if importlib.util.find_spec("gguf") is None:
        pytest.skip("the package gguf is not installed")
    try:
        folder: Path = smollm2_folder(cache_folder())
    except NotAvailable as reason:
        pytest.skip(str(reason))
    return Policy(folder, "smollm2", "float32", "auto", False)
