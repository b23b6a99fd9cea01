"""The dataset and model cards of an export, with their metadata for the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from apm_exp.core.component import name_of
from apm_exp.core.step_names import last_of, of_kind
from apm_exp.report.describe import title, training_words
from apm_exp.report.export.facts import made_with, refused, selection_facts
from apm_exp.report.export.finished_run import FinishedRun
from apm_exp.report.export.kept_pairs import own_columns_of, score_columns
from apm_exp.report.export.license import words
from apm_exp.report.export.messages import message_columns
from apm_exp.report.export.parts import parts_of
from apm_exp.report.export.sources import base_source, dataset_source, described, policy_source, reward_source
from apm_exp.report.redact import public_command, replay_command
from apm_exp.report.scores import interval_level, read_scores, results

HERE = "FOLDER"  # placeholder for the folder of the reader's copy
_SIZES = {"n<1K": 1e3, "1K<n<10K": 1e4, "10K<n<100K": 1e5, "100K<n<1M": 1e6, "1M<n<10M": 1e7, "10M<n<100M": 1e8}


def write_dataset_card(run: FinishedRun, rows: Mapping[str, int], path: Path, *, by_value: bool) -> None:
    """Write the card of a data set with so many rows per split. by_value: whether they are in that order."""
    from huggingface_hub import DatasetCard, DatasetCardData

    source, parts = dataset_source(run), parts_of(run)
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in rows]
    metadata = DatasetCardData(
        **source.license,
        pretty_name=_title(run),
        task_categories=["text-generation"],
        tags=["preference", "trl", "dpo", "apm_exp"],
        source_datasets=[source.hub] if source.hub else None,
        size_categories=next((name for name, most in _SIZES.items() if rows["train"] < most), "100M<n<1B"),
        configs=[{"config_name": "default", "data_files": files}],
    )
    values = {
        "title": _title(run),
        "trained": run.policy is not None,
        "rows": rows,
        "source": source,
        "policy": policy_source(run),
        "reward": reward_source(run),
        "with_rewards": any(part.rewarded for part in parts),
        "parts": [part.name for part in parts] if len(parts) > 1 else [],
        "selections": len(of_kind(run.steps, "selection")),
        "selection": selection_facts(run),
        "scores": score_columns(run),
        "by_value": by_value,
        "own": [*own_columns_of(run).named.values()],
        "tools": message_columns(part.file("pairs") for part in parts).tools,
        "refused": refused(run),
        "as_sampled": sum(part.logps.counts.get("as_sampled", 0) for part in parts),
        "license": words(source.license),
        "made_with": made_with(parts[-1].logps),
        "command": public_command(run.command),
        "replay": replay_command(run.command, HERE),
        "here": HERE,
    }
    DatasetCard(_card(metadata.to_yaml(), "dataset_card.md.jinja", values)).save(path)


def write_model_card(run: FinishedRun, *, with_weights: bool, path: Path) -> None:
    """Write the card of the policy that the run has trained."""
    from huggingface_hub import ModelCard, ModelCardData

    source, base, config, policy = dataset_source(run), base_source(run), run.config, last_of(run.steps, "policy")
    assert policy is not None
    metadata = ModelCardData(
        **base.license,
        base_model=base.hub,
        datasets=[source.hub] if source.hub else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["preference", name_of(config["loss"]), "apm_exp"],
    )
    records = read_scores(run.evaluations)
    values = {
        "title": title(config),
        "with_weights": with_weights,
        "base": base,
        "source": source,
        "objective": described(config["loss"]),
        "training": training_words(config["trainer"], config["adapter"] or None),
        "trainer": _settings(config["trainer"]),
        "seed": config["seed"],
        "policy": policy.counts,
        "trainings": [f"policy.{place}" for place in of_kind(run.steps, "policy") if place],
        "selection": selection_facts(run),
        "results": [result for name, scores in records.items() for result in results(name, scores)],
        "levels": sorted({interval_level(node) for node in (config["evals"] or {}).values()} - {""}),
        "license": words(base.license),
        "made_with": made_with(policy),
        "command": public_command(run.command),
    }
    ModelCard(_card(metadata.to_yaml(), "model_card.md.jinja", values)).save(path)


def _title(run: FinishedRun) -> str:
    return title(run.config, with_loss=run.policy is not None)


def _settings(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trainer's settings that affect the result."""
    how = ("_target_", "args", "log_every", "save_every", "keep_checkpoints")
    return {name: value for name, value in trainer.items() if name not in how} | dict(trainer["args"] or {})


def _card(metadata: str, template: str, values: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    return f"---\n{metadata.strip()}\n---\n\n{environment.get_template(template).render(values)}"
