"""The outputs and job records of a finished sweep, written by hand: what its report reads."""

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from omegaconf import OmegaConf

from apm_exp.core.files import write_json, write_jsonl, write_parquet, write_text
from apm_exp.core.types import PairScores
from apm_exp.selection.keep.top_fraction import top_fraction
from apm_exp.selection.metrics.map import alignment_potential
from apm_exp.selection.metrics.uniform import uniform
from tests.report.finished_run import names, score

COMMAND = "python -m apm_exp -m metric=map,uniform alpha=0.5,2.5 seed=0,1"
KEEP = {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 0.4}
GRID = {"metric": ("map", "uniform"), "alpha": ("0.5", "2.5"), "seed": ("0", "1")}


def sweep_folder(root: Path) -> Path:
    """Where the sweep's report goes, below the output_root `root`."""
    folder = root / "sweeps" / "metrics-12345678"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finished_sweep(
    root: Path, grid: dict[str, tuple[str, ...]] = GRID, pairs: int = 60, prompts: int = 50
) -> list[dict[str, Any]]:
    """The records of one job a combination, whose artifacts are written below `root`.

    The win rate of a prompt is even for `uniform`; `map` wins 0.2 more of it at alpha 0.5, and nothing at others.
    """
    write_logps(root, pairs)
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return [_job(root, number, swept, pairs, prompts) for number, swept in enumerate(combinations)]


def margins(pairs: int) -> PairScores:
    stream = np.random.default_rng(7)
    return PairScores(np.array(names(pairs)), stream.normal(size=pairs), stream.normal(0, 0.2, pairs))


def write_logps(root: Path, pairs: int) -> None:
    """logps.parquet: every response has five tokens."""
    (root / "logps" / "l").mkdir(parents=True)
    lengths = np.full(pairs, 5, np.int32)
    columns = {"pair_id": names(pairs), "chosen_len": lengths, "rejected_len": lengths}
    write_parquet(pa.table(columns), root / "logps" / "l" / "logps.parquet")


def _step(kind: str, key: str, seconds: float, reused: bool, **counts: int) -> dict[str, Any]:
    return {"key": f"{kind}-{key}", "folder": f"{kind}/{key}", "seconds": seconds, "counts": counts, "reused": reused}


def _job(root: Path, number: int, swept: dict[str, str], pairs: int, prompts: int) -> dict[str, Any]:
    metric, alpha, seed = swept.get("metric", "map"), float(swept.get("alpha", 1)), swept.get("seed", "0")
    node, chosen = _metric(metric, alpha, int(seed))
    others = {key: value for key, value in swept.items() if key not in ("metric", "alpha", "seed")}
    name = "-".join([chosen, *others.values(), f"seed{seed}"]).replace(" ", "_")
    reused = (root / "policy" / name).exists()
    kept = _write_selection(root, chosen, node, pairs)
    _write_policy(root, name, kept, {"logps": "logps-l", "selection": f"selection-{chosen}"})
    record = _write_evaluation(root, name, 0.7 if (metric, alpha) == ("map", 0.5) else 0.5, int(seed), prompts)
    return {
        "number": number,
        "swept": swept,
        "state": "done",
        "reason": None,
        "command": f"python -m apm_exp {' '.join(f'{key}={value}' for key, value in swept.items())}",
        "run": f"runs/job-{number}",
        "metric": node,
        "keep": KEEP,
        "baseline": None,
        "trusted_packages": [],
        "headline": "",
        "scores": {"win_rate": record, "starting_reward": score(0.6, 0.01, 400, "reward")},
        "kept": kept,
        "trained": not reused,
        "policy_key": name,
        "report": f"../../report/{name}/report.html",
        "seconds": 31.26,
        "steps": {
            "logps": _step("logps", "l", 10.0, number > 0, pairs=pairs, tokens=100 * pairs),
            "selection": _step("selection", chosen, 0.5, reused, pairs=pairs, kept=kept, within_noise=1),
            "policy": _step("policy", name, 20.0, reused, pairs=kept, optimizer_steps=30),
            "evaluation.win_rate": _step("evaluation", name, 5.0, reused, scores=2),
        },
    }


def _metric(metric: str, alpha: float, seed: int) -> tuple[dict[str, Any], str]:
    """A metric's node, and the name of the selection that it makes."""
    if metric == "uniform":
        return {"_target_": "apm_exp.selection.metrics.uniform.uniform", "seed": seed}, f"uniform{seed}"
    target = "apm_exp.selection.metrics.map.alignment_potential"
    return {"_target_": target, "alpha": alpha, "rescale": True}, f"map-{alpha:g}"


def _write_selection(root: Path, name: str, node: dict[str, Any], pairs: int) -> int:
    folder, scores = root / "selection" / name, margins(pairs)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {key: value for key, value in node.items() if key != "_target_"}
    value = partial(uniform if "seed" in node else alignment_potential, **settings)(scores)["value"]
    kept = top_fraction(value, scores.pair_id_P, fraction=0.4)
    columns = {"pair_id": scores.pair_id_P, "explicit_margin": scores.rewards_margin_P}
    columns |= {"implicit_margin": scores.implicit_margin_P, "value": value, "kept": kept}
    write_parquet(pa.table(columns), folder / "selection.parquet")
    return int(kept.sum())


def _write_policy(root: Path, name: str, kept: int, *parts: dict[str, str]) -> None:
    """metrics.jsonl of two epochs, and inputs.yaml, which names the keys of the parts."""
    folder = root / "policy" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl([{"step": 3, "pairs_seen": 2 * kept}], folder / "metrics.jsonl")
    given = [{kind: {"artifact": key} for kind, key in part.items()} for part in parts]
    write_text(OmegaConf.to_yaml({"stage": "train", "inputs": {"parts": given}}), folder / "inputs.yaml")


def _write_evaluation(root: Path, name: str, rate: float, seed: int, prompts: int) -> dict[str, Any]:
    """Wins that depend on the prompt, in part on the seed, and on the rate."""
    stream, own = np.random.default_rng(0), np.random.default_rng(seed + 1)
    wins = np.clip(rate + stream.normal(0, 0.1, prompts) + own.normal(0, 0.01), 0, 1)
    folder = root / "evaluation" / name
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"prompt": [f"prompt {n}" for n in range(prompts)], "win_rate": wins, "length": wins * 10}
    write_parquet(pa.table(columns), folder / "evaluation.parquet")
    error = float(np.std(wins, ddof=1) / np.sqrt(prompts))
    records = {"win_rate": score(float(wins.mean()), error, prompts, "share")}
    records["length"] = score(float(wins.mean()) * 10, error * 10, prompts, "tokens")
    write_json(records, folder / "scores.json")
    return records["win_rate"]
