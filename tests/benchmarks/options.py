"""The options that scoring and training_step share."""

import argparse
from pathlib import Path

import torch

from tests.benchmarks.model_shape import SHAPES
from tests.benchmarks.workload import PAIRS

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def parse(description: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """The options as given, `dtype` and `num_pairs` by the device where they are not.

    Raises ValueError for a device or a dtype that this machine does not have.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="preference pairs, JSON lines (default: %(default)s)")
    parser.add_argument("--num-pairs", type=int, help="pairs of the sample (default: 12 on a CPU, 256 on a GPU)")
    parser.add_argument("--repetitions", type=int, default=5, help="timed runs of each method (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=SHAPES, default="small", help="the random Llama (default: %(default)s)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="default: float32 on a CPU, bfloat16 on a GPU. bfloat16 on a CPU measures us against our own float32",
    )
    parser.add_argument(
        "--tokens-per-batch", type=int, help="of our scoring (default: runtime.tokens_per_batch's, by device)"
    )
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no CUDA GPU; leave the option out")
    if options.device == "cpu" and options.dtype == "bfloat16" and not multiplies_bfloat16():
        raise ValueError(f"--dtype bfloat16: skipped, this CPU has none of {', '.join(BFLOAT16_FLAGS)}")
    options.dtype = options.dtype or ("float32" if options.device == "cpu" else "bfloat16")
    options.num_pairs = options.num_pairs or (12 if options.device == "cpu" else 256)
    return options


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for it (Linux); without them it is slower than float32."""
    path = Path("/proc/cpuinfo")
    return path.exists() and any(flag in path.read_text().split() for flag in BFLOAT16_FLAGS)
