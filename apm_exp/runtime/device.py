"""Pick the device of a model, without importing torch if there is no GPU driver."""

import re
import sys
from pathlib import Path

from apm_exp.runtime.accelerators import is_elsewhere

_FORM = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's name
_DRIVERS = (  # device files of the drivers of GPUs that torch calls "cuda", on Linux
    *("/dev/nvidiactl", "/dev/nvidia0"),
    *("/dev/nvmap", "/dev/nvhost-gpu"),  # Jetson
    "/dev/dxg",  # the GPU of Windows, under WSL
    "/dev/kfd",  # AMD
)


def pick_device(runtime: dict) -> str:
    """Return the torch device that `runtime["device"]` names: "cpu", "cuda", "cuda:N" or "mps".

    "auto" is the first CUDA GPU if there is one, else the CPU, and never mps. Raises ValueError for an invalid name,
    and for a device that this machine does not have.
    A plan for another machine's GPU (`plan_for`) always uses "cuda".
    """
    if is_elsewhere(runtime):
        return "cuda"
    name = str(runtime["device"])
    if not _FORM.fullmatch(name):
        raise ValueError(f"runtime.device={name}: not a device; choose from auto, cpu, cuda, cuda:N, mps")
    if name == "cpu":
        return name
    if name == "mps":
        return _demand(name, _has_metal(), "no Metal GPU")
    gpus = count_gpus()
    if name == "auto":
        return "cuda" if gpus else "cpu"
    index = int(name.partition(":")[2] or 0)
    return _demand(name, index < gpus, f"{gpus} CUDA GPU{'' if gpus == 1 else 's'}")


def count_gpus() -> int:
    """Return the number of GPUs that torch can use; 0 without importing torch if there is no driver."""
    if not may_have_gpus():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def multiplies_bfloat16(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the device has hardware for bfloat16 products, so that they are faster than those of float32.

    cpuinfo: the file in which Linux lists the features of the CPU; on other systems, a CPU is assumed to have none.
    """
    if device == "cpu":
        names = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
        return bool(names & _BFLOAT16_UNITS)
    if not device.startswith("cuda"):
        return False
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)


def may_have_gpus() -> bool:
    """Return whether a GPU driver is installed, or may be."""
    if sys.platform == "linux":
        return any(Path(name).exists() for name in _DRIVERS)
    return sys.platform != "darwin"


def _has_metal() -> bool:
    if sys.platform != "darwin":
        return False
    import torch

    return torch.backends.mps.is_available()


def _demand(name: str, there: bool, machine: str) -> str:
    if not there:
        raise ValueError(f"runtime.device={name}: this machine has {machine}; use runtime.device=auto or cpu")
    return name
