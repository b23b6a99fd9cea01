"""The memory of the device that a training runs on, found without torch and without starting CUDA."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.jobs.plan.device import named
from apm_exp.runtime.device import pick_device

_LIMITS = (  # of a container: the most, and what is used, of which files can be given up
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def memory_of(runtime: Mapping[str, Any]) -> int | None:
    """Return the bytes of a runtime node's device: the one that a plan is for, else this machine's."""
    if (planned := named(runtime)) is not None:
        return planned.memory
    return device_memory(pick_device(dict(runtime)))


def host_memory(runtime: Mapping[str, Any]) -> int | None:
    """Return the bytes of the machine's own memory; None for a device that a plan is for."""
    return available_memory() if named(runtime) is None else None


def device_memory(device: str) -> int | None:
    """Return the bytes that a training can use: available ones of a CPU, all of a GPU; None if unknown.

    Of several GPUs that are visible, the smallest.
    """
    if device == "cpu":
        return available_memory()
    return _gpu_memory(device) if device.startswith("cuda") else None


def available_memory(meminfo: Path = Path("/proc/meminfo"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory of the machine that is free or can be freed, within its container's limit, in bytes."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE) if meminfo.is_file() else None
    if found is None:
        return None
    return min([int(found[1]) * 1024, *(room for names in _LIMITS if (room := _room(groups, *names)) is not None)])


def _room(groups: Path, most: str, used: str, files: str) -> int | None:
    """Return the bytes that a container may still use, or None if it has no limit."""
    try:
        limit, current = int((groups / most).read_text()), int((groups / used).read_text())
        held = re.search(rf"^{files} (\d+)$", (groups / most).with_name("memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # "max" is no number
        return None
    return max(0, limit - current + int(held[1] if held else 0))


def _gpu_memory(device: str) -> int | None:
    command = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        rows = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    gpus = [row.split(", ") for row in rows]
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    visible = [gpu for name in named for gpu in gpus if name and (name == gpu[0] or gpu[1].startswith(name))] or gpus
    index = device.partition(":")[2]
    chosen = visible[int(index) : int(index) + 1] if index else visible
    return min((int(memory) * 2**20 for _, _, memory in chosen), default=None)
