"""Numbers of a config.json that cannot be are one line, whatever transformers makes of them."""

import json
import shutil
from pathlib import Path

import pytest

from apm_exp.core.types import Policy
from apm_exp.models.preflight import preflight

NODE = {"dtype": "float32", "attention": "auto", "trust_remote_code": False, "chat_template": None}
HUGE = 10**12


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "num_hidden_layers",
            HUGE,
            rf"config.json has num_hidden_layers={HUGE}, but the weights have only \d+ tensors",
        ),
        ("num_hidden_layers", 0, r"config.json has num_hidden_layers=0, but the weights have only \d+ tensors"),
        (
            "hidden_size",
            HUGE,
            rf"has shape \[.*\], but config.json specifies \[.*{HUGE}.*\] \(and \d+ more\); download",
        ),
        ("vocab_size", 7, r"has shape \[\d+, 32\], but config.json specifies \[7, 32\]"),
        ("hidden_size", -1, "StrictDataclass"),
        ("hidden_size", "abc", "StrictDataclass"),
        ("num_attention_heads", 0, "Error"),
        ("eos_token_id", 1.5, "StrictDataclass"),
    ],
)
def test_a_number_that_cannot_be(name: str, value: object, message: str, tiny_policy: Policy, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_policy.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(ValueError, match=rf"^model\.path=.*{message}") as caught:
        preflight(folder, NODE | {"path": str(folder)})
    assert "\n" not in str(caught.value)
