"""A starting policy of the micro world that is trained in a second: poor, but it ends its answers."""

from pathlib import Path

from apm_exp.core.types import Policy
from apm_exp.data.worlds.micro_world.policy import sft_policy

SMALL = {
    "hidden": 32,
    "layers": 2,
    "heads": 2,
    "feed_forward": 64,
    "steps": 60,
    "batch": 32,
    "learning_rate": 1e-2,
    "beta2": 0.98,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "seed": 0,
}
SAMPLING = {  # what generate=on_policy sets
    "samples": 3,
    "temperature": 0.8,
    "top_p": 0.95,
    "max_new_tokens": 12,
    "batch_size": 9,
    "seed": 0,
}
RUNTIME = {
    "_target_": "apm_exp.runtime.settings.run_on",
    "device": "cpu",
    "processes": 1,
    "pairs_per_device": 8,
    "tokens_per_batch": 16384,
    "threads": None,
    "tf32": False,
}


def small_policy(folder: Path) -> Policy:
    """Train the policy into a folder."""
    sft_policy(folder, **SMALL)
    return Policy(folder, "small", "float32", "auto", False)
