"""A finished run of two iterations of self-play, written by hand: what the section on iterations reads."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_parquet
from tests.data.evolve.steps import asked, data_set, evolved
from tests.report.finished_run import CONFIG, finished_run, score, write_evaluation

REWRITE = {"_target_": "apm_exp.data.evolve.rewrites.rewrites", "strategies": ["breadth", "deepening"]}
RULE = {"_target_": "apm_exp.data.worlds.micro_world.harder_tasks.harder_tasks", "strategies": ["breadth"], "seed": 0}


def iterated_run(root: Path, node: dict[str, Any] = REWRITE, *, iterations: int = 2, text: str = "") -> dict[str, Any]:
    """The arguments of the report stage. text: at the end of each prompt."""
    run = finished_run(root)
    seeds = data_set(root / "seeds", [f"Name a sea. {text}", f"Explain how tides work. {text}"])
    replies = [f"Name a lake. {text}", "", f"Explain geysers. {text}", (f"Explain why tides {text}", False)]
    made = evolved(root / "evolved", seeds, asked(root / "asked", seeds), replies)
    steps = {"prompts": seeds, "prompts.1-evolved": made}
    for iteration in range(1, iterations + 1):
        steps |= _part(root, f"{iteration}", iteration)
        steps |= _part(
            root, f"{iteration}-evolved", iteration, explicit=[2.0, 0.0, 1.0, 5.0], kept=[True, False, False, True]
        )
    early = {"win_rate": score(0.6, 0.02, 400, "share"), "length": score(12.0, 0.3, 400, "tokens")}
    early["starting_length"] = score(11.5, 0.29, 400, "tokens")
    for iteration in range(1, iterations):
        steps[f"evaluation.{iteration}-win_rate"] = write_evaluation(root, f"evaluation-{iteration}", early)
    return run | {"steps": run["steps"] | steps, "config": CONFIG | {"evolve": node}, "reused": ["generations.1"]}


def _part(
    root: Path, place: str, iteration: int, explicit: list[float] | None = None, kept: list[bool] | None = None
) -> dict[str, Artifact]:
    """Two prompts with two responses each, and their pairs; later iterations have higher rewards."""
    tables = {
        "generations": {"lengths": [[2, 4], [6, 8]]},
        "rewards": {"all_rewards": pa.array([[iteration, 0.0], [0.5, None]], pa.list_(pa.float64()))},
        "selection": {
            "explicit_margin": explicit or [1.0, -0.5],
            "implicit_margin": [0.25 * iteration] * len(explicit or "12"),
            "value": [float(value) for value in explicit or (1.0, -0.5)],
            "kept": kept or [True, True],
        },
    }
    counts: dict[str, dict[str, int]] = {
        "generations": {"prompts": 2, "responses": 4, "cut_off": 1, "refused": 3},
        "rewards": {"responses": 3},
        "selection": {"pairs": len(explicit or "12"), "kept": 2},
    }
    names = {"rewards": f"rewards.{place}-responses"}
    steps = {}
    for kind, table in tables.items():
        name = names.get(kind, f"{kind}.{place}")
        folder = root / name
        folder.mkdir()
        write_parquet(pa.table(table), folder / f"{kind}.parquet")
        steps[name] = Artifact(kind, folder, name, counts[kind], 1.5)
    return steps | {f"pairs.{place}": Artifact("pairs", root, place, {"pairs": 1000 * iteration}, 0.5)}
