"""Check that the judges of the evaluations can reward responses to the prompts of the data set."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.component import name_of
from apm_exp.core.messages import text_of
from apm_exp.core.told import ask, told
from apm_exp.pipeline.evaluations import judge_of

_REMEDY = "take evals=held_out_pairs, or evals=reward_win_rate with reward=classifier reward.path=FOLDER"
Node = Mapping[str, Any]


def check_judges(config: Node) -> None:
    """Raise ValueError for an evaluation whose judge cannot reward responses to prompts of this data set.

    An evaluation on the micro world's tasks is meaningless for a policy that is trained on other prompts.
    """
    for name, node in (config["evals"] or {}).items():
        if "_target_" not in node:
            judge = judge_of(config, name)
            if problem := _problem(judge, config["dataset"]):
                raise ValueError(f"evals={name}: {name_of(judge)} judges it, which cannot reward {problem}; {_REMEDY}")


def _problem(judge: Node, dataset: Node) -> str | None:
    """Return which prompts a judge does not accept, or None; compares only the worlds if rows cannot be read yet."""
    from apm_exp.data.generate.preflight import first_prompts

    prompts = first_prompts(dataset)
    if not prompts and told("reward", judge, "WORLD") not in (None, told("dataset", dataset, "WORLD")):
        return f"responses to prompts of dataset={name_of(dataset)}"
    for prompt in prompts if told("reward", judge, "check_prompt") else ():
        try:
            ask("reward", judge, "check_prompt", prompt.messages)
        except ValueError:
            return f"responses to the data set's prompts ({text_of(prompt.messages[-1])[:60]!r})"
    return None
