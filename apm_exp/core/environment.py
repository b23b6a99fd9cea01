"""What the environment may not decide: a result has one key, whatever a shell profile or a launcher has left there."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

# Other weights, log-probs or devices under the same key, by each library's own source.
_SETTINGS = (
    "ACCELERATE_*",  # mixed precision, clipping, accumulation, FSDP, DeepSpeed, TorchDynamo, the device
    "DS_ACCELERATOR",  # DeepSpeed's device, whatever runtime.device is
    "NVIDIA_TF32_OVERRIDE",  # cuBLAS and cuDNN: TensorFloat-32, whatever runtime.tf32 is
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",  # bfloat16 inside float32 products, on a CPU
    "DNNL_DEFAULT_FPMATH_MODE",
    "PYTORCH_MPS_FAST_MATH",
    "TORCHINDUCTOR_USE_FAST_MATH",
    "TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",  # torch.load would unpickle anything
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD",  # ... and this one keeps DeepSpeed from reading its own checkpoints
    "KUBEFLOW_TRAINER_SERVER_URL",  # transformers would report the training to it
)
# NODE_RANK and GROUP_RANK stay: they say which of several machines this is (runtime/nodes/node_rank.py).
_LAUNCHERS = (
    *("RANK", "LOCAL_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "LOCAL_SIZE", "TORCHELASTIC_*"),
    "PET_*",  # torchrun's own options
    *("OMPI_COMM_WORLD_*", "PMI_*", "PMIX_*", "MV2_COMM_WORLD_*", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
_COPIES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_COPIES_HERE = ("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")


def clear_settings() -> list[str]:
    """Remove from this process's environment what would change results under the same key; returns the names."""
    return _clear(_SETTINGS)


def clear_launcher() -> None:
    """Remove from this process's environment what a launcher has set: ranks are started here, by `runtime`."""
    _clear(_LAUNCHERS)


def without_launcher(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment less what a launcher has set."""
    names = set(_matching(environ, _LAUNCHERS))
    return {name: value for name, value in environ.items() if name not in names}


def started_too_often(runtime: Any, environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the command must not work, in one line with the remedy: a launcher has started it more than once a machine,
    or on more machines than the runtime node has. None if it has not.
    """
    nodes = runtime.get("nodes") if isinstance(runtime, Mapping) else None
    nodes = nodes if isinstance(nodes, int) else 1
    for names, most in ((_COPIES_HERE, 1), (_COPIES, nodes)):
        for name in names:
            if (value := environ.get(name, "")).isdecimal() and int(value) > most:
                once = f"start it once, without a launcher, with runtime.processes={value}"
                remedy = f"{once} (several machines: runtime=nodes runtime.nodes=NUMBER), or unset {name}"
                return f"{name}={value}: a launcher has started the command {value} times, or left that here; {remedy}"
    return None


def _clear(patterns: Iterable[str]) -> list[str]:
    names = _matching(os.environ, patterns)
    for name in names:
        del os.environ[name]
    return names


def _matching(environ: Mapping[str, str], patterns: Iterable[str]) -> list[str]:
    patterns = tuple(patterns)
    return sorted(name for name in environ if any(fnmatchcase(name, pattern) for pattern in patterns))
