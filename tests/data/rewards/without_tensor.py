"""A copy of a reward model's folder that lacks one tensor."""

from pathlib import Path

from safetensors.torch import load_file, save_file


def without_tensor(folder: Path, name: str, out: Path) -> Path:
    """Copy a folder to `out` without the tensor of this name, and return `out`."""
    out.mkdir()
    for file in folder.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    return out
