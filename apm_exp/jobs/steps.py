"""The steps of a job, and whether they are all there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import FileDigests, local_paths
from apm_exp.jobs.checks.rewards import uses_rewards
from apm_exp.jobs.report_step import report_step
from apm_exp.jobs.request import Request
from apm_exp.models.pretrained import is_here
from apm_exp.pipeline.graph import Choices, build_graph, up_to
from apm_exp.pipeline.resolve import reward_is_here
from apm_exp.pipeline.step import Seen, Step, read_done

_HAVE_BAD_ROWS = ("generations", "pairs", "logps")


def steps_of(request: Request, digests: FileDigests, *, with_rewards: bool) -> dict[str, Step]:
    """The steps of a job by name."""
    names = {name: request.choices[name] for name in Choices.__dataclass_fields__}
    steps = build_graph(request.config, Choices(**names), with_rewards=with_rewards, digests=digests)
    assert all(step.key for step in steps.values())  # named now: an edit during the work belongs to the next command
    return up_to(steps, request.config["until"])


def digests_of(request: Request) -> FileDigests:
    """What is known of the content of files, below the output_root."""
    return FileDigests(Path(request.config["output_root"]) / ".digests.json")


def is_finished(request: Request, with_rewards: bool | None) -> bool:
    """Whether every step of a job and its page are there, so that nothing would be computed; only looks.

    False too where the answer would take reading a model's weights or asking the Hub for them, and where something
    cannot be read: the checks, or the work, then say what.
    """
    config, digests = request.config, digests_of(request)
    paths = [path for group in ("dataset", "model", "reward") for path in local_paths(config[group].get("path"))]
    here = is_here(config["model"]) and reward_is_here(config["reward"])
    if config["rebuild"] != "none" or not here or not all(map(digests.knows, paths)):
        return False
    try:
        if with_rewards is None:
            pairs = read_done(steps_of(request, digests, with_rewards=True)["pairs"])
            with_rewards = pairs is not None and has_rewards(pairs, config)
        steps = steps_of(request, digests, with_rewards=with_rewards)
        seen: Seen = {}
        for step in steps.values():
            if artifact := read_done(step, seen):
                refuse_bad_rows(config, artifact)
        page = [report_step(request.config, steps, command="", provenance={})] if "selection" in steps else []
        return all(read_done(step, seen) for step in [*steps.values(), *page])
    except (OSError, ValueError):
        return False


def refuse_bad_rows(config: Mapping[str, Any], artifact: Artifact) -> None:
    """Raise ValueError for dataset.on_bad_row=error and an artifact of a run that has left bad rows out."""
    if artifact.kind not in _HAVE_BAD_ROWS or config["dataset"]["on_bad_row"] != "error":
        return
    if bad := artifact.counts.get("bad_rows", artifact.counts["refused"]):
        problem = f"{bad:,} bad rows were left out of {artifact.path} (all are listed in its refused.jsonl)"
        raise ValueError(f"dataset.on_bad_row=error: {problem}; correct them or use dataset.on_bad_row=refuse")


def has_rewards(pairs: Artifact, config: Mapping[str, Any]) -> bool:
    """Whether the pairs bring the rewards of their responses: all of them, or some if the rewards are needed."""
    rewards = pq.read_table(pairs.path / "pairs.parquet", columns=["recorded_rewards"])["recorded_rewards"]
    return rewards.null_count == 0 or (rewards.null_count < len(rewards) and uses_rewards(config))
