"""A small model folder and the pairs that it is made from."""

from pathlib import Path

import pyarrow as pa

from apm_exp.core.types import Policy
from apm_exp.models.tiny_from_data import tiny_from_data

SIZES = {"vocabulary": 280, "hidden": 16, "layers": 1, "heads": 2, "intermediate": 32, "positions": 256, "seed": 3}
NODE = {"path": "MINE", "dtype": "float32", "attention": "auto", "trust_remote_code": False, "chat_template": None}


def pairs(word: str = "apricot") -> pa.Table:
    """Ten pairs with a word of their own."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"What is {number} times {word}?"}],
            "responses": [f"It is {number} {word}.", f"{word} {word}"],
        }
        for number in range(10)
    ]
    return pa.Table.from_pylist(rows)


def tiny_folder(folder: Path) -> Path:
    """Write the model into a folder."""
    folder.mkdir()
    tiny_from_data(folder, pairs(), **SIZES)
    return folder


def policy(folder: Path, **changed: object) -> Policy:
    """The policy in a folder, as float32."""
    settings = {"key": "k", "dtype": "float32", "attention": "auto", "trust_remote_code": False} | changed
    return Policy(folder, **settings)
