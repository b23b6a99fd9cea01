"""Optimizers by transformers' names, and the packages that some of them require."""

import importlib.util
import re

from apm_exp.core.component import nearest

COMMON = ("adamw_torch", "adamw_torch_fused")
_NEEDS = (  # pattern of names, module, what to install
    (r"paged_.*|ademamix.*|lion_.*|adamw_8bit|.*_bnb.*", "bitsandbytes", "-e '.[8bit]'"),
    (r"adamw_torch_[48]bit", "torchao", "torchao"),
    (r"galore_.*", "galore_torch", "galore-torch"),
    (r"apollo_.*", "apollo_torch", "apollo-torch"),
    (r"lomo|adalomo", "lomo_optim", "lomo-optim"),
    (r"schedule_free_.*", "schedulefree", "schedulefree"),
    (r"grokadamw", "grokadamw", "grokadamw"),
    (r"stable_adamw", "optimi", "torch-optimi"),
    (r"adamw_anyprecision", "torchdistx", "torchdistx"),
    (r"adamw_torch_xla", "torch_xla", "torch-xla"),
    (r"adamw_torch_npu_fused", "torch_npu", "torch-npu"),
)


def check_optimizer(name: str, *, elsewhere: bool = False) -> None:
    """Raise ValueError if transformers has no optimizer of this name, or if its package is not installed.

    elsewhere: this is a plan for another machine, which has to have the package.
    """
    if name in COMMON:
        return
    from transformers.training_args import OptimizerNames

    names = [item.value for item in OptimizerNames]
    if name not in names:
        raise ValueError(f"trainer.optimizer={name}: transformers has no such optimizer; {nearest(name, names)}")
    if (lacking := lacking_package(name)) and not elsewhere:
        module, package = lacking
        raise ValueError(
            f"trainer.optimizer={name}: needs {module}, which is not installed; pip install {package}, "
            "or set trainer.optimizer=adamw_torch"
        )


def lacking_package(name: str) -> tuple[str, str] | None:
    """Return the module that an optimizer requires, and its package, if it is not installed; else None."""
    module, package = package_of(name)
    return (module, package) if module and package and importlib.util.find_spec(module) is None else None


def package_of(name: str) -> tuple[str | None, str | None]:
    """Return the module that an optimizer requires besides torch and transformers, and its package, or (None, None)."""
    matches = ((module, package) for pattern, module, package in _NEEDS if re.fullmatch(pattern, name))
    return next(matches, (None, None))
