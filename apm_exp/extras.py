"""Launchers and sweepers of Hydra that are extras of this project."""

_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "optuna": "optuna"}


def missing_extra(group: str, name: str) -> str | None:
    """What to install where Hydra lacks a launcher or sweeper of this name; None where no extra has it."""
    extra = _EXTRAS.get(name) if group in ("hydra/launcher", "hydra/sweeper") else None
    return extra and f"{group}={name}: not installed; pip install 'apm_exp[{extra}]'"
