"""Run by a test in a process of its own: trainings under ZeRO-2, without, again, offloaded, unclipped, in bfloat16."""

import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from apm_exp.core.types import Policy
from tests.training.cases import deepspeed, runtime, task, trained


def main(folder: Path) -> None:
    policy = Policy(folder / "policy", "tiny", "float32", "auto", False)
    given = task(folder / "zero2", policy, pq.read_table(folder / "pairs.parquet"), runtime=runtime(pairs_per_device=2))
    trained(replace(given, deepspeed=deepspeed("zero2")), global_batch=8, epochs=2, save_every=3, keep_checkpoints=1)
    again = task(folder / "again", policy, given.pairs, runtime=given.runtime, deepspeed=deepspeed("zero2"))
    trained(task(folder / "none", policy, given.pairs, runtime=given.runtime), global_batch=8, epochs=2)
    trained(again, global_batch=8, epochs=2)
    offload = deepspeed("zero3_offload")
    trained(task(folder / "offload", policy, given.pairs, runtime=given.runtime, deepspeed=offload), global_batch=8)
    free = task(folder / "free", policy, given.pairs, runtime=given.runtime, deepspeed=deepspeed("zero2"))
    trained(free, global_batch=4, optimizer="sgd", max_grad_norm=None, args={"max_steps": 1})
    rough = task(folder / "rough", replace(policy, dtype="bfloat16"), given.pairs, deepspeed=deepspeed("zero2"))
    trained(rough, global_batch=4, epochs=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
