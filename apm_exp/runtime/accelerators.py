"""The accelerators for which task=plan can plan on another machine: `runtime.plan_for=8xh100`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Accelerator:
    """An accelerator. flops: peak FLOP/s of dense bfloat16 matrix products with float32 sums. memory: in bytes, as
    nvidia-smi shows it. bandwidth: of the memory, in bytes per second.
    """

    title: str
    flops: float
    memory: int
    bandwidth: float


def _of(title: str, teraflops: float, mebibytes: int, gigabytes_per_second: float) -> Accelerator:
    return Accelerator(title, teraflops * 1e12, mebibytes * 2**20, gigabytes_per_second * 1e9)


ACCELERATORS: Mapping[str, Accelerator] = {  # from the makers' data sheets, without sparsity
    "a10": _of("A10", 125, 23_028, 600),
    "a100": _of("A100 80 GB", 312, 81_920, 2_039),
    "a100_40gb": _of("A100 40 GB", 312, 40_960, 1_555),
    "a6000": _of("RTX A6000", 155, 49_140, 768),
    "b200": _of("B200", 2_250, 183_359, 8_000),
    "h100": _of("H100 SXM", 989, 81_559, 3_350),
    "h100_pcie": _of("H100 PCIe", 756, 81_559, 2_000),
    "h200": _of("H200", 989, 143_771, 4_800),
    "l4": _of("L4", 121, 23_034, 300),
    "l40s": _of("L40S", 362, 46_068, 864),
    "3090": _of("RTX 3090", 71, 24_576, 936),
    "4090": _of("RTX 4090", 165, 24_564, 1_008),
    "5090": _of("RTX 5090", 209, 32_607, 1_792),
}
_FORM = re.compile(r"(?:([1-9]\d{0,4})x)?(\w+)")


def accelerator(name: str) -> tuple[int | None, Accelerator]:
    """Return the number of accelerators that a name gives, or None, and the accelerator.

    Raises ValueError, with the list, for an unknown name.
    """
    found = _FORM.fullmatch(str(name).lower())
    if found is None or found[2] not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise ValueError(f"runtime.plan_for={name}: not a known device; choose from {known}, or several as 8xh100")
    return (int(found[1]) if found[1] else None), ACCELERATORS[found[2]]


def is_elsewhere(runtime: Mapping[str, Any]) -> bool:
    """Return whether a plan is for another machine, whose devices and libraries this one does not need."""
    return runtime.get("plan_for") is not None


def on_accelerators(runtime: Mapping[str, Any]) -> dict[str, Any]:
    """Return a runtime node for the machine that `plan_for` names; unchanged if it is None."""
    if not is_elsewhere(runtime):
        return dict(runtime)
    count, _ = accelerator(runtime["plan_for"])
    return {**runtime, "device": "cuda", **({} if count is None else {"processes": count, "nodes": 1})}
