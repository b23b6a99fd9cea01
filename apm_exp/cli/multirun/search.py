"""Sweeps that search (hydra-optuna-sweeper): each job's settings depend on the results of earlier jobs.

A search keeps no state of its own. Its sampler is seeded, so the same command proposes the same trials again: finished
trials are found in the ledger like any finished job, and the search resumes after them.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

NO_TRIALS = "No trials are completed yet"  # Optuna raises this at the end of a search without a completed trial


def no_trial_done(folder: Path) -> str:
    """Return the message for a search whose trials all failed. folder: the sweep's."""
    from apm_exp.jobs.ledger import called, records

    each = records(folder)
    failed = [record for record in each if record["state"] == "failed"]
    if not failed:
        return "no trial was completed, so there is no best one"
    first, reason = failed[0], failed[0].get("reason") or "no reason was recorded"
    which = called(first["number"], first["swept"])
    return f"no trial of {len(each)} was completed, so there is no best one; {which} failed: {reason}"


def is_study(config: DictConfig) -> bool:
    """Return whether the sweeper searches instead of running a grid."""
    return str(config.hydra.sweeper._target_).endswith(".OptunaSweeper")


def at_a_time(config: DictConfig) -> int | None:
    """Return how many trials a search starts together; None for a grid, which starts all its jobs."""
    return int(config.hydra.sweeper.n_jobs) if is_study(config) else None


def say_less(config: DictConfig) -> None:
    """Silence the libraries of a search: each trial's job logs itself, and its failure has been reported."""
    if is_study(config):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("hydra_plugins").setLevel(logging.CRITICAL)


def study_identity(config: DictConfig) -> list[Any]:
    """Return the settings of a search that identify it, besides the ends of its ranges; empty for a grid."""
    if not is_study(config):
        return []
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    return [{name: sweeper[name] for name in ("sampler", "direction", "n_jobs")}]


def ends(overrides: Sequence[Override]) -> list[list[str]]:
    """Return jobs that together contain each end of every searched range, and each value of every list."""
    values = [list(_ends(override)) for override in overrides]
    names = [override.get_key_element() for override in overrides]
    count = max(map(len, values), default=1)
    rows = [[each[min(index, len(each) - 1)] for each in values] for index in range(count)]
    return [[f"{name}={value}" for name, value in zip(names, row, strict=True)] for row in rows]


def _ends(override: Override) -> Iterator[str]:
    if override.is_interval_sweep():
        interval: Any = override.value()
        yield from (repr(interval.start), repr(interval.end))
    elif override.is_sweep_override():
        yield from override.sweep_string_iterator()
    else:
        yield override.get_value_element_as_str()
