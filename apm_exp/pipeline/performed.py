"""The operations that a finished step has performed, which its record keeps so that plans can estimate times."""

import logging
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.types import Policy
from apm_exp.models.shape import shape_of_folder
from apm_exp.pipeline.flops import ASSUMED, Load, MeanLengths, reward_shape
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.work import Counts
from apm_exp.runtime.device import pick_device
from apm_exp.runtime.settings import all_processes

logger = logging.getLogger(__name__)
_PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")


def performed(step: Step, counts: Counts) -> dict[str, Any] | None:
    """Return the operations of a finished step, with the model's size, the mean lengths of pairs, and the devices.

    Returns None for a step without a model, and if they cannot be computed: the record is then written without them.
    """
    try:
        return _performed(step, counts)
    except Exception as error:  # a model or component may raise anything
        logger.debug("%s: its operations are not known: %s", step.folder, error)
        return None


def _performed(step: Step, counts: Counts) -> dict[str, Any] | None:
    policy = step.inputs.get("policy", step.inputs.get("given", {}).get("policy"))
    if isinstance(policy, Policy):
        shape = shape_of_folder(policy.folder, policy.trust_remote_code)
    elif step.kind != "rewards" or (shape := reward_shape(step.inputs["reward"])) is None:  # type: ignore[assignment]
        return None
    pair = _sampled(step.folder) if step.kind == "generations" else mean_pair(_tokenized(step))
    flops = STAGES[step.kind].flops(step.inputs, counts, Load(shape, pair or ASSUMED))
    if flops is None:
        return None
    runtime = step.beside["runtime"]
    where = {"device": pick_device(dict(runtime)).partition(":")[0], "processes": all_processes(runtime)}
    return {"flops": flops, "parameters": shape.parameters, "pair": pair, **where}


def _tokenized(step: Step) -> Path | None:
    """Return the folder with the tokens of a step's pairs."""
    if step.kind == "logps":
        return step.folder
    scored = step.inputs["parts"][0]["logps"] if "parts" in step.inputs else step.inputs.get("given", {}).get("logps")
    return scored.folder if isinstance(scored, Step) else None


def _sampled(folder: Path) -> MeanLengths | None:
    """Return the mean lengths of the prompts and responses of generations as MeanLengths; None without token ids."""
    table = pq.read_table(folder / "generations.parquet", columns=["prompt_ids", "lengths"])
    prompt = pc.mean(pc.list_value_length(table["prompt_ids"])).as_py()
    response = pc.mean(pc.list_flatten(table["lengths"])).as_py()
    return None if prompt is None or response is None else (prompt, response, response)


def mean_pair(folder: Path | None) -> MeanLengths | None:
    """Return the mean lengths of the pairs in a logps folder; None if it does not exist."""
    if folder is None or not (folder / "logps.parquet").is_file():
        return None
    table = pq.read_table(folder / "logps.parquet", columns=list(_PARTS))
    prompt, chosen, rejected = (pc.mean(pc.list_value_length(table[name])).as_py() or 0.0 for name in _PARTS)
    return prompt, chosen, rejected
