"""Which device a model runs on."""

import re

_FORM = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def pick_device(runtime: dict) -> str:
    """The torch device that `runtime["device"]` names: "cpu", "cuda", "cuda:N" or "mps".

    "auto" is the first GPU where there is one, else the CPU; mps only when it is asked for. Raises ValueError
    for a name of another form, and for a device that this machine does not have.
    """
    name = str(runtime["device"])
    if not _FORM.fullmatch(name):
        raise ValueError(f"runtime.device={name}: not a device; choose from auto, cpu, cuda, cuda:N, mps")
    if name == "cpu":
        return name
    import torch  # after the check for cpu: a plan on a CPU needs no torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name == "mps":
        return _demand(name, torch.backends.mps.is_available(), "no Metal GPU")
    index = int(name.partition(":")[2] or 0)
    return _demand(name, index < gpus, f"{gpus} CUDA GPU{'' if gpus == 1 else 's'}")


def _demand(name: str, there: bool, machine: str) -> str:
    if not there:
        raise ValueError(f"runtime.device={name}: this machine has {machine}; use runtime.device=auto or cpu")
    return name
