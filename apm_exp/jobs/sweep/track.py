"""The verdict on a sweep for the tracker of its jobs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core import component
from apm_exp.core.told import ask
from apm_exp.report.sweep.verdict import read_verdict
from apm_exp.report.tracking.sweep_run import TrackedSweep


def track_sweep(folder: Path, command: str, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Let the tracker of the sweep's last finished job log the verdict, if its module has a `log_sweep`."""
    root = folder.parents[1]
    *_, last = (job for job in jobs if job["state"] == "done")
    config: Any = OmegaConf.to_container(OmegaConf.load(root / last["run"] / "config.yaml"))
    record = read_verdict(folder)
    if not config["tracking"] or record is None:
        return
    component.trust(config["trusted_packages"])
    counts = Counter(str(job["state"]) for job in jobs)
    about = (record["verdict"], record["arms"], record["differences"], counts)
    sweep = TrackedSweep(folder, root / ".tracking", command, config, *about)
    ask("tracking", config["tracking"], "log_sweep", sweep)
