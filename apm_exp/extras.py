"""Launchers and sweepers of Hydra that are extras of this project."""

_EXTRAS = {
    "hydra/launcher": {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"},
    "hydra/sweeper": {"optuna": "optuna"},
}


def extras(group: str) -> list[str]:
    """The options of a group of Hydra's that extras bring."""
    return list(_EXTRAS.get(group, {}))


def missing_extra(group: str, name: str) -> str | None:
    """What to install where Hydra lacks a launcher or sweeper of this name; None where no extra has it."""
    extra = _EXTRAS.get(group, {}).get(name)
    return extra and f"{group}={name}: not installed; pip install 'apm_exp[{extra}]'"
