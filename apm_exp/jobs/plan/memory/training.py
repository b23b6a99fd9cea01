"""The properties of a training that determine its memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.jobs.plan.memory.adapted import Frozen
from apm_exp.models.shape import Shape
from apm_exp.pipeline.work import Lengths
from apm_exp.runtime.settings import all_processes
from apm_exp.training.batching import batching


@dataclass(frozen=True)
class Training:
    """dtype: of the policy. zero: the stage, 0 for DeepSpeed without one, None without DeepSpeed. offload: what
    DeepSpeed moves to the machine's memory ("optimizer", "param"). live: most elements of weights that ZeRO-3 keeps
    gathered. processes: on all of `nodes` machines together. pairs: the longest that are known, longest first. bound:
    whether they are the longest that could be. frozen: what an adapter leaves as it is; None where all is trained.
    """

    shape: Shape
    device: str
    dtype: str
    optimizer: str
    checkpointing: bool
    padded: bool
    global_batch: int
    pairs_per_device: int
    processes: int
    zero: int | None
    offload: frozenset[str]
    live: int
    pairs: tuple[Lengths, ...]
    bound: bool
    nodes: int = 1
    frozen: Frozen | None = None

    @property
    def on_each_node(self) -> int:
        """Return the number of processes of one machine, which share its memory."""
        return self.processes // self.nodes

    @property
    def accumulates(self) -> bool:
        """Return whether gradients of earlier forwards exist during a forward."""
        batches = batching(
            pairs=1,
            global_batch=self.global_batch,
            epochs=1,
            pairs_per_device=self.pairs_per_device,
            processes=self.processes,
        )
        return batches.accumulation > 1

    @property
    def forward(self) -> tuple[Lengths, ...]:
        """Return the pairs of the largest forward: the longest known ones, as if they were in one batch."""
        count = min(self.pairs_per_device, max(1, self.global_batch // self.processes))
        return self.pairs[:count] + self.pairs[:1] * (count - len(self.pairs)) * self.bound

    @property
    def on_gpu(self) -> bool:
        """Return whether the device has its own memory, which torch's caching allocator reuses."""
        return self.device.startswith("cuda")

    @property
    def bytes_of_dtype(self) -> int:
        """Return the bytes of an element of the policy's dtype."""
        return 4 if self.dtype == "float32" else 2


def training_of(
    config: Mapping[str, Any],
    shape: Shape,
    frozen: Frozen | None,
    device: str,
    dtype: str,
    pairs: tuple[Lengths, ...],
    bound: bool,
) -> Training:
    """Return the training of a job's configuration. frozen: the frozen part of an adapter's training."""
    from apm_exp.models.loading import OF_PAIRS

    trainer, runtime = config["trainer"], config["runtime"]
    zero = (config["deepspeed"] or {}).get("zero_optimization") or {}
    return Training(
        shape=shape,
        frozen=frozen,
        device=device,
        dtype=dtype,
        optimizer=trainer["optimizer"],
        checkpointing=trainer["gradient_checkpointing"],
        padded=config["model"]["attention"] not in OF_PAIRS or trainer["implementation"] == "trl",
        global_batch=trainer["global_batch"],
        pairs_per_device=runtime["pairs_per_device"],
        processes=all_processes(runtime),
        nodes=int(runtime.get("nodes", 1)),
        zero=int(zero.get("stage", 0)) if config["deepspeed"] else None,
        offload=frozenset(part for part in ("optimizer", "param") if _offloaded(zero, part)),
        live=int(zero.get("stage3_max_live_parameters", 1e9)),
        pairs=pairs,
        bound=bound,
    )


def _offloaded(zero: Mapping[str, Any], part: str) -> bool:
    return (zero.get(f"offload_{part}") or {}).get("device", "none") not in ("none", None)
