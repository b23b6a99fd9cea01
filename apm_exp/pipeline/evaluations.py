"""The evaluations of a run as steps: each is one function, or four nodes (prompts, generate, judge, score)."""

from collections.abc import Mapping, Sequence
from typing import Any

from apm_exp.core import component
from apm_exp.core.told import ask, told
from apm_exp.core.types import Policy
from apm_exp.data.sources.holdout import holdout_of
from apm_exp.pipeline.graph import Graph

Node = Mapping[str, Any]
STAGED = ("prompts", "generate", "judge", "score")  # the nodes of an evaluation that is more than one function


def add_evaluations(graph: Graph, policies: Sequence[Policy]) -> None:
    """Add the evaluations of each policy against the starting policy, each in a part of its own.

    Those of the last policy, which are the results of the run, are in no iteration: evaluation.win_rate. Those of the
    policies before it are in the parts of their iterations: evaluation.1-win_rate.
    """
    _add(graph, policies[-1], policies[0])
    for iteration, policy in enumerate(policies[1:-1], 1):
        with graph.part(str(iteration)):
            _add(graph, policy, policies[0])


def _add(graph: Graph, policy: Policy, start: Policy) -> None:
    available: dict[str, Any] = {"policy": policy, "starting_policy": start}
    available["holdout"] = holdout_of(graph.config["dataset"], graph.config["until"])
    if graph.scored:
        first = graph.scored[0]
        available |= {"pairs": first.pairs, "logps": first.logps, "rewards": first.rewards}
    for name, node in (graph.config["evals"] or {}).items():
        with graph.part(name):
            if "_target_" in node:
                graph.evaluation(name, node, available)
            else:
                graph.evaluation(name, node["score"], available | _judged(graph, name, node, available))


def _is_relative(reward: Node) -> bool:
    """Return whether the rewards of a source only mean something beside others of the same row or step."""
    return bool(told("reward", reward, "RELATIVE") or ask("reward", reward, "within_rows"))


def judge_of(config: Node, name: str) -> Node:
    """Return the reward source that judges an evaluation: its own, or that of the run if its node says null.

    Raises ValueError for a source that reads the rewards of a data set, which new responses do not have, and for one
    whose rewards are relative to others of their row or step.
    """
    judge: Node = config["evals"][name]["judge"] or config["reward"]
    setting = f"evals.{name}.judge"
    if _is_relative(judge):
        problem = f"{setting}={component.name_of(judge)}: its rewards of two policies' responses cannot be compared"
        remedy = f"give one source, reward@{setting}=classifier {setting}.path=FOLDER, or evals=held_out_pairs"
        raise ValueError(f"{problem}, as they are relative to other responses of each; {remedy}")
    if told("reward", judge, "OF_THE_DATA"):
        problem = f"{setting}={component.name_of(judge)}: new responses have no recorded rewards"
        raise ValueError(f"{problem}; give reward@{setting}=classifier {setting}.path=FOLDER")
    return judge


def _refuse_others(place: str, sampler: Node) -> None:
    """Raise ValueError for a sampler whose responses are not the policy's."""
    if told(place, sampler, "OF_POLICY") is False:
        problem = "its responses are another model's, so they say nothing of the policy"
        raise ValueError(f"{place}={component.name_of(sampler)}: {problem}; give it one of the policy")


def _judged(graph: Graph, name: str, node: Node, available: Node) -> dict[str, Any]:
    """Add the responses and judgements of both policies, and return them.

    The starting policy samples in another random stream, so that the responses of the two policies are independent. Its
    steps are the same in all jobs of a sweep.
    """
    policy, start, judge = available["policy"], available["starting_policy"], judge_of(graph.config, name)
    _refuse_others(f"evals.{name}.generate", node["generate"])
    prompts = graph.prompts(node["prompts"], name, available)
    responses = {"policy": graph.generations(prompts, policy, node["generate"])}
    judgements = {"policy": graph.rewards(responses["policy"], judge)}
    with graph.part("starting"):
        responses["starting_policy"] = graph.generations(prompts, start, node["generate"], stream="starting")
        judgements["starting_policy"] = graph.rewards(responses["starting_policy"], judge)
    return {"responses": responses, "judgements": judgements}
