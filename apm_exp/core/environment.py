"""Removal of environment variables that would change results without changing their cache key."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

# Each changes weights, log-probs or the device under the same key, according to the library's source.
_SETTINGS = (
    "ACCELERATE_*",  # mixed precision, clipping, accumulation, FSDP, DeepSpeed, TorchDynamo, the device
    "DS_ACCELERATOR",  # DeepSpeed's device, overriding runtime.device
    "NVIDIA_TF32_OVERRIDE",  # cuBLAS and cuDNN: TensorFloat-32, overriding runtime.tf32
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",  # bfloat16 inside float32 products, on a CPU
    "DNNL_DEFAULT_FPMATH_MODE",
    "PYTORCH_MPS_FAST_MATH",
    "TORCHINDUCTOR_USE_FAST_MATH",
    "TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",  # torch.load would unpickle anything
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD",  # DeepSpeed could not read its own checkpoints
    "KUBEFLOW_TRAINER_SERVER_URL",  # transformers would report the training to this server
)
_LAUNCHERS = (
    *("RANK", "LOCAL_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"),
    *("NODE_RANK", "GROUP_RANK"),
    *("MASTER_ADDR", "MASTER_PORT", "LOCAL_SIZE", "TORCHELASTIC_*"),
    "PET_*",  # torchrun's own options
    *("OMPI_COMM_WORLD_*", "PMI_*", "PMIX_*", "MV2_COMM_WORLD_*", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
# How many copies of the command a launcher has started. Not PMI_SIZE: a Slurm batch script has it too.
_COPIES = (
    *("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"),
    *("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"),
)


def clear_settings() -> list[str]:
    """Remove variables that would change results under the same key from the environment and return their names."""
    return _clear(_SETTINGS)


def clear_launcher() -> None:
    """Remove a launcher's variables from the environment, as `runtime` starts the ranks itself."""
    _clear(_LAUNCHERS)


def without_launcher(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without a launcher's variables."""
    names = set(_matching(environ, _LAUNCHERS))
    return {name: value for name, value in environ.items() if name not in names}


def started_too_often(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return an error line with a remedy if a launcher has started the command more than once, else None."""
    for name in _COPIES:
        if (value := environ.get(name, "")).isdecimal() and int(value) > 1:
            once = (
                "start it once, without a launcher, as it starts its own ranks: runtime.processes=NUMBER on one machine"
            )
            remedy = f"{once}, runtime=slurm or runtime=mpi on several (docs/cluster.md); or unset {name}"
            return f"{name}={value}: a launcher has started the command {value} times, or left this; {remedy}"
    return None


def _clear(patterns: Iterable[str]) -> list[str]:
    names = _matching(os.environ, patterns)
    for name in names:
        del os.environ[name]
    return names


def _matching(environ: Mapping[str, str], patterns: Iterable[str]) -> list[str]:
    patterns = tuple(patterns)
    return sorted(name for name in environ if any(fnmatchcase(name, pattern) for pattern in patterns))
