"""Which device a model runs on, found without torch where there is no driver of a GPU."""

import re
import sys
from pathlib import Path

_FORM = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's name
_DRIVERS = (  # what the driver of a GPU that torch calls "cuda" puts there, on Linux
    *("/dev/nvidiactl", "/dev/nvidia0"),
    *("/dev/nvmap", "/dev/nvhost-gpu"),  # Jetson
    "/dev/dxg",  # a GPU of Windows, under WSL
    "/dev/kfd",  # AMD
)


def pick_device(runtime: dict) -> str:
    """The torch device that `runtime["device"]` names: "cpu", "cuda", "cuda:N" or "mps".

    "auto" is the first GPU where there is one, else the CPU; mps only when it is asked for. Raises ValueError
    for a name of another form, and for a device that this machine does not have. A plan for another machine's GPU
    (`plan_for`) is of "cuda" whatever is here.
    """
    if runtime.get("plan_for") is not None:
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
    """The GPUs that torch can use; where there is no driver there are none, and torch is not asked."""
    if not may_have_gpus():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def multiplies_bfloat16(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the device multiplies bfloat16 faster than float32: by units of its own, not by emulation.

    cpuinfo: where Linux lists what the CPU can do; elsewhere a CPU is taken to have no such units.
    """
    if device == "cpu":
        names = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
        return bool(names & _BFLOAT16_UNITS)
    if not device.startswith("cuda"):
        return False
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)


def may_have_gpus() -> bool:
    """Whether a GPU's driver is here, or cannot be excluded."""
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
