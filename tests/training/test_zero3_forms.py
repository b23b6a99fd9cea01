"""Under ZeRO-3 a model takes the form that it was scored in, though its weights are in parts when it is made."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed is installed on Linux only")
def test_models_that_cannot_share_prompts_train_under_zero3(tmp_path: Path) -> None:
    """DPO's first loss is log 2 if the log-probs are those that were scored; no one is told to build them again."""
    command = [sys.executable, "-m", "tests.training.zero3_forms", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith(("llama", "granite", "cohere", "gpt_oss"))]
    assert lines == ["llama 0.69315", "granite 0.69315", "cohere 0.69315", "gpt_oss 0.69315"]
    for name in ("Granite", "Cohere", "GptOss"):
        assert done.stderr.count(f"{name}ForCausalLM ") >= 2  # padded in scoring and in training
    assert "LlamaForCausalLM" not in done.stderr
