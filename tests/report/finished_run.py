"""A finished run's artifacts, written by hand: the columns and files that the report reads."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json, write_jsonl, write_parquet
from apm_exp.core.messages import stored
from apm_exp.core.types import Message
from apm_exp.pipeline.stage_table import STAGES

MAP = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": 0.5, "rescale": False}
EXPLICIT = {"_target_": "apm_exp.selection.metrics.explicit.explicit_reward_margin"}
IMPLICIT = {"_target_": "apm_exp.selection.metrics.implicit.implicit_reward_margin"}
CONFIG: dict[str, Any] = {
    "alpha": 0.5,
    "seed": 0,
    "output_root": "outputs",
    "hyperparameters": "documented defaults of dpo",
    "dataset": {"_target_": "apm_exp.data.sources.jsonl.jsonl", "path": "my/pairs.jsonl", "holdout": 0.05},
    "model": {"_target_": "apm_exp.models.local.local", "path": "/models/tiny-sft", "dtype": "float32"},
    "metric": MAP,
    "keep": {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 0.4},
    "loss": {"_target_": "apm_exp.training.losses.dpo.dpo", "beta": 0.1},
    "evals": {"win_rate": {"_target_": "apm_exp.evals.win_rate.win_rate", "confidence": 0.95}},
    "trainer": {"learning_rate": 5e-7, "global_batch": 128, "epochs": 1},
}
COMPARE = {"map": MAP, "explicit": EXPLICIT, "implicit": IMPLICIT}
COMMAND = "python -m apm_exp dataset=jsonl dataset.path=my/pairs.jsonl model=local model.path=/models/tiny-sft"
PROVENANCE = {
    "commit": "0123abc",
    "uncommitted_diff": "a\nb\n",
    "argv": ["x"],
    "python": "3.12.1",
    "versions": {"torch": "2.13.0", "trl": "1.16.0"},
    "hardware": {"machine": "x86_64", "cores": 2, "gpus": []},
}
# Ten pairs: value = |explicit| - 0.5 |implicit|, of which the four highest are kept.
EXPLICIT_MARGINS = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5]
IMPLICIT_MARGINS = [9.0, -0.2, 0.4, 0.2, 0.1, -9.0, 0.3, 0.1, -0.1, 0.2]
CHOSEN_LENGTHS = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
REJECTED_LENGTHS = [10, 10, 20, 50, 40, 60, 60, 70, 100, 90]

FIELDS = {"reasoning_content": "as I see <it>", "tool_calls": [{"function": {"name": "look"}}]}
TOOLS = '[{"name": "look"}]'


def artifact(root: Path, kind: str, seconds: float, **counts: int) -> Artifact:
    """An artifact in a new folder."""
    folder = root / kind / f"run-{kind}"
    folder.mkdir(parents=True)
    return Artifact(kind, folder, kind, counts, seconds)


def write_selection(root: Path, explicit: np.ndarray | None, implicit: np.ndarray, keep: int) -> Artifact:
    """The `keep` pairs with the highest |explicit| - 0.5 |implicit| (without rewards: -|implicit|)."""
    made = artifact(root, "selection", 0.5, pairs=len(implicit), kept=keep, within_noise=3)
    value = -np.abs(implicit) if explicit is None else np.abs(explicit) - 0.5 * np.abs(implicit)
    kept = np.zeros(len(value), bool)
    kept[np.argsort(-value, kind="stable")[:keep]] = True
    columns = {
        "pair_id": names(len(value)),
        "explicit_margin": pa.nulls(len(value), pa.float64()) if explicit is None else explicit,
        "implicit_margin": implicit,
        "value": value,
        "kept": kept,
    }
    write_parquet(pa.table(columns), made.path / "selection.parquet")
    return made


def names(pairs: int) -> list[str]:
    """Pair ids in their order."""
    return [f"pair-{number:05d}" for number in range(pairs)]


def write_pairs(root: Path, prompts: list[str], chosen: list[str], rejected: list[str]) -> Artifact:
    """pairs.parquet and a quarantine file with three rows."""
    made = artifact(root, "pairs", 1.5, pairs=len(prompts), refused=3)
    table = pa.table(
        {
            "pair_id": names(len(prompts)),
            "prompt": [[{"role": "user", "content": text}] for text in prompts],
            "chosen": [[{"role": "assistant", "content": text}] for text in chosen],
            "rejected": [
                stored([cast(Message, {"role": "assistant", "content": text, **FIELDS})]) for text in rejected
            ],
            "tools": pa.array([TOOLS] * len(prompts)),
            "source": [f"my/pairs.jsonl:{number + 1}" for number in range(len(prompts))],
        }
    )
    write_parquet(table, made.path / "pairs.parquet")
    refused = [
        {"source": "pairs.jsonl:3", "pair_id": "a", "reason": "empty response", "detail": "chosen is ''"},
        {"source": "pairs.jsonl:7", "pair_id": "b", "reason": "not JSON", "detail": "<b>bold</b>"},
        {"source": "pairs.jsonl:9", "pair_id": "c", "reason": "empty response", "detail": "rejected is ''"},
    ]
    write_jsonl(refused, made.path / "refused.jsonl")
    return made


def write_rewards(root: Path, explicit: np.ndarray | None) -> Artifact:
    """rewards.parquet of ten pairs: the margin and 0, or none."""
    made = artifact(root, "rewards", 2.5, pairs=10, **({} if explicit is not None else {"unrewarded": 10}))
    chosen = pa.nulls(10, pa.float64()) if explicit is None else pa.array(explicit)
    rejected = pa.nulls(10, pa.float64()) if explicit is None else pa.array(np.zeros(10))
    columns = {"pair_id": names(10), "chosen_reward": chosen, "rejected_reward": rejected}
    write_parquet(pa.table(columns), made.path / "rewards.parquet")
    return made


def write_logps(root: Path, chosen_len: list[int], rejected_len: list[int]) -> Artifact:
    """logps.parquet with one held-out pair more than the selection has."""
    made = artifact(root, "logps", 12.0, pairs=len(chosen_len))
    lengths = {"chosen_len": [*chosen_len, 1000], "rejected_len": [*rejected_len, 1000]}
    columns = {"pair_id": [*names(len(chosen_len)), "pair-held-out"], **lengths}
    write_parquet(pa.table(columns), made.path / "logps.parquet")
    write_jsonl([], made.path / "refused.jsonl")
    return made


def training_row(step: int, steps: int) -> dict[str, float]:
    """One logged step."""
    part = step / steps
    return {
        "step": step,
        "epoch": part,
        "loss": 0.69 - 0.1 * part,
        "learning_rate": 5e-7 * min(1, 10 * part),
        "grad_norm": 1 + 0.1 * np.sin(step),
        "chosen_logp": -0.5 - 0.05 * part,
        "rejected_logp": -0.7 - 0.2 * part,
        "implicit_margin": 0.2 + 0.15 * part,
        "rewards/accuracies": 0.5 + 0.2 * part,
        "rewards/margins": 0.3 * part,
    }


def write_policy(root: Path, steps: int) -> Artifact:
    """metrics.jsonl of so many logged steps."""
    made = artifact(root, "policy", 30.0, pairs=4, optimizer_steps=steps)
    write_jsonl([training_row(step, steps) for step in range(1, steps + 1)], made.path / "metrics.jsonl")
    return made


def score(value: float, error: float, n: int, unit: str) -> dict[str, Any]:
    """A score's record with the interval of +- 1.96 standard errors."""
    interval = [value - 1.96 * error, value + 1.96 * error]
    return {"value": value, "standard_error": error, "n": n, "interval": interval, "unit": unit}


def write_evaluation(root: Path, name: str, scores: dict[str, Any]) -> Artifact:
    """scores.json of an evaluation."""
    made = artifact(root, name, 4.0, scores=len(scores))
    write_json(scores, made.path / "scores.json")
    return made


def finished_run(root: Path, *, with_rewards: bool = True, texts: str = "text") -> dict[str, Any]:
    """The arguments of the report stage for the ten pairs above."""
    explicit = np.array(EXPLICIT_MARGINS) if with_rewards else None
    prompts, chosen, rejected = ([f"{kind} {texts} {row}" for row in range(10)] for kind in "pcr")
    win_rate = {"win_rate": score(0.675, 0.0234, 400, "share"), "length": score(12.5, 0.31, 400, "tokens")}
    win_rate["starting_length"] = score(11.5, 0.29, 400, "tokens")
    shown = {
        "pairs": write_pairs(root, prompts, chosen, rejected),
        "rewards": write_rewards(root, explicit),
        "logps": write_logps(root, CHOSEN_LENGTHS, REJECTED_LENGTHS),
        "selection": write_selection(root, explicit, np.array(IMPLICIT_MARGINS), 4),
        "policy": write_policy(root, 12),
    }
    return {
        "config": CONFIG,
        "how": {},
        "command": COMMAND,
        "export": "python -m apm_exp task=export run=the-run",
        "steps": shown | {"evaluation.win_rate": write_evaluation(root, "evaluation", win_rate)},
        "shown": shown,
        "compare": json.loads(json.dumps(COMPARE)),
        "provenance": PROVENANCE,
        "titles": {kind: stage.title for kind, stage in STAGES.items()},
        "metric_option": "map",
        "reused": [],
    }
