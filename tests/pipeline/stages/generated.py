"""The stages from a data set's prompts to pairs, one after the other, as the recipes connect them."""

from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy
from apm_exp.pipeline.stages.generations import generations
from apm_exp.pipeline.stages.pairs import pairs
from apm_exp.pipeline.stages.prompts import prompts
from apm_exp.pipeline.stages.rewards import rewards
from tests.micro_world_policy import RUNTIME

MAX_MIN = {"_target_": "apm_exp.selection.pairing.max_min.max_min"}
SPLIT = {"limit": None, "seed": 0, "chosen_reward": None, "rejected_reward": None}


def built(stage: Any, root: Path, **inputs: Any) -> Artifact:
    """The artifact of a stage that is run in a folder of its own, also after a killed attempt."""
    kind = stage.__name__
    folder = root / kind
    folder.mkdir(parents=True, exist_ok=True)
    return Artifact(kind, folder, kind, stage(folder, **inputs), 0.0)


def asked(root: Path, dataset: dict[str, Any], limit: int | None = None, on_bad_row: str = "refuse") -> Artifact:
    """The prompts of a data set."""
    return built(prompts, root, dataset=dataset, limit=limit, skip=0, draw_seed=None, on_bad_row=on_bad_row)


def responded(root: Path, dataset: dict[str, Any], policy: Policy, sample: dict[str, Any]) -> Artifact:
    """Responses to the prompts of a data set."""
    return built(generations, root, prompts=asked(root, dataset), policy=policy, generate=sample, runtime=RUNTIME)


def rewarded(root: Path, responses: Artifact, reward: dict[str, Any]) -> Artifact:
    """Their rewards."""
    return built(rewards, root, responses=responses, reward=reward, runtime=RUNTIME)


def paired(
    root: Path, responses: Artifact, reward: dict[str, Any], pairing: dict[str, Any] = MAX_MIN, **split: Any
) -> Artifact:
    """Pairs of them. split: settings that are not those of SPLIT."""
    sampled = {"generations": responses, "rewards": rewarded(root, responses, reward), "pairing": pairing}
    return built(pairs, root, dataset=SPLIT | split, sampled=sampled, on_bad_row="refuse")
