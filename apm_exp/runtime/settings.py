"""The runtime settings. They change results by rounding only, so they are not part of an artifact's key, except tf32,
which rounds more, and the pairs of a forward if the loss depends on them (pipeline.forward_pairs).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from apm_exp.runtime.accelerators import is_elsewhere
from apm_exp.runtime.device import pick_device


@dataclass(frozen=True)
class Runtime:
    """The resolved runtime settings.

    device: a torch device. processes: the number that share scoring and training, on all machines together.
    pairs_per_device: in one training forward. tokens_per_batch: in one scoring forward; None: the device's default.
    """

    device: str
    processes: int
    pairs_per_device: int
    tokens_per_batch: int | None


def run_on(
    *,
    device: str,
    processes: Annotated[int, Field(gt=0, le=2**10)],
    nodes: Annotated[int, Field(gt=0, le=2**14)] = 1,
    launcher: Literal["torchrun", "srun", "mpirun"] = "torchrun",
    jobs_per_gpu: Annotated[int, Field(gt=0, le=2**10)] = 1,
    pairs_per_device: Annotated[int, Field(gt=0, le=2**20)],
    tokens_per_batch: Annotated[int, Field(gt=0)] | None,
    threads: Annotated[int, Field(gt=0, le=2**16)] | None,
    tf32: bool,
    plan_for: str | int | None = None,
    plan_pair: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=3, max_length=3)] | None = None,
) -> Runtime:
    """Return the runtime settings with the device resolved; set torch's CPU threads and TF32 for this process.

    processes: on each of `nodes` machines. launcher: the program that starts them (ranks/). jobs_per_gpu: how many
    concurrent jobs share a GPU (gpu_pool.py). threads: None leaves torch's setting. tf32: whether CUDA may round the
    factors of float32 products to 10 bits. plan_for, plan_pair: the device and the mean tokens of a pair
    that task=plan assumes (accelerators.py). Raises ValueError for a device that this machine does not have.
    """
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if tf32:
        import torch

        torch.backends.cuda.matmul.fp32_precision = "tf32"
    return Runtime(
        pick_device({"device": device, "plan_for": plan_for}), nodes * processes, pairs_per_device, tokens_per_batch
    )


def all_processes(runtime: Mapping[str, Any]) -> int:
    """Return the number of processes that share the work, on all machines together."""
    return int(runtime["processes"]) * int(runtime.get("nodes", 1))


def check_devices(runtime: Mapping[str, Any]) -> None:
    """Raise ValueError if this machine lacks the device, or has fewer GPUs than processes (not for `plan_for`)."""
    if is_elsewhere(runtime):
        return
    device, processes = pick_device(dict(runtime)), runtime["processes"]
    if all_processes(runtime) == 1 or device == "cpu":
        return
    if device != "cuda":
        remedy = "each needs a GPU of its own: use runtime.device=cuda or runtime.processes=1"
        if processes == 1:
            remedy = "each node's process takes its first GPU: use runtime.device=cuda and CUDA_VISIBLE_DEVICES"
        raise ValueError(f"runtime.processes={processes}: runtime.device={device} names one device; {remedy}")
    import torch

    if processes > (gpus := torch.cuda.device_count()):
        machine = f"this machine has {gpus} CUDA GPU{'' if gpus == 1 else 's'}"
        raise ValueError(f"runtime.processes={processes}: {machine}; use runtime.processes={gpus}")
