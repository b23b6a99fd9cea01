"""The device that a plan is for: seconds by its peak, of which only a share is reached."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from apm_exp.core.console import shown
from apm_exp.data.generate.most_new_tokens import most_of
from apm_exp.models.shape import Shape
from apm_exp.pipeline.flops import MeanLengths
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.work import Counts
from apm_exp.runtime.accelerators import Accelerator, accelerator

SHARE = 0.4  # of the peak: an assumption, which the plan prints; docs/performance.md
_SHARED = ("logps", "policy")  # the kinds of steps that all processes work on


def named(runtime: Mapping[str, Any]) -> Accelerator | None:
    """Return the accelerator that a plan is for; None if it is for this machine."""
    return accelerator(runtime["plan_for"])[1] if runtime.get("plan_for") is not None else None


def devices_of(step: Step, processes: int) -> int:
    """Return how many devices work on a step."""
    return processes if step.kind in _SHARED else 1


def seconds_at_peak(device: Accelerator, flops: float, devices: int) -> float:
    """Return the seconds of so many operations at the share of the peak that is assumed."""
    return flops / (SHARE * device.flops * devices)


def sampling_seconds(device: Accelerator, step: Step, counts: Counts, shape: Shape, pair: MeanLengths) -> float:
    """Return the seconds in which sampling reads what it reads: all weights for each token of a batch, and the cache.

    Other responses take the places of those that have ended; the last takes max_new_tokens. The keys and values of a
    prompt are read once for all its responses. The same share of the bandwidth is assumed.
    """
    generate = step.inputs["generate"]
    responses, most = counts["responses"], most_of(generate) or 0
    length, rows = min(most, max(pair[1:])), max(1, min(generate.get("batch_size", responses), responses))
    weights = 2 * shape.active * max(most, ceil(responses * length / rows))
    tokens = pair[0] / min(generate.get("samples", 1), rows) + length / 2
    cache = responses * length * tokens * cache_bytes(shape, 2)
    return float((weights + cache) / (SHARE * device.bandwidth))


def cache_bytes(shape: Shape, each: int) -> int:
    """Return the bytes of a token in the cache of keys and values. each: bytes of an element."""
    return 2 * shape.layers * shape.shared * each


def device_line(device: Accelerator, processes: int) -> str:
    """Return a plan's line on the device that it is for."""
    peak, percent = device.flops / 1e12, round(100 * SHARE)
    return (
        f"for {processes} x {device.title}: {peak:,.0f} TFLOP/s (dense bfloat16), {shown(device.memory)} and "
        f"{device.bandwidth / 1e12:.2g} TB/s each by the data sheet; assumed: {percent}% of them are reached"
    )
