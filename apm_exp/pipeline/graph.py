"""The experiment as steps: what depends on what, and with which settings. Nothing is computed here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.digest import FileDigests
from apm_exp.core.types import Policy
from apm_exp.data.sources.holdout import with_holdout
from apm_exp.pipeline.forward_pairs import Config, forward_pairs
from apm_exp.pipeline.resolve import (
    builds_model,
    needs_pairs,
    pinned_dataset,
    pinned_reward,
    starting_policy,
    trained_policy,
)
from apm_exp.pipeline.stages.evaluate import evaluate
from apm_exp.pipeline.stages.generate import generate
from apm_exp.pipeline.stages.logps import logps
from apm_exp.pipeline.stages.model import model
from apm_exp.pipeline.stages.pairs import pairs
from apm_exp.pipeline.stages.rewards import rewards
from apm_exp.pipeline.stages.selection import selection
from apm_exp.pipeline.stages.train import train
from apm_exp.pipeline.step import Step
from apm_exp.selection.alpha_rules.choose import AUTO, rule_name, with_rule
from apm_exp.training.adapters.preflight import adapter_name

RECORDED = {"_target_": "apm_exp.data.rewards.recorded.recorded"}
HOW = ("runtime", "deepspeed", "tracking", "output_root", "trusted_packages")  # how a run is made, not what of
_LOADING = (
    "dtype",
    "attention",
    "trust_remote_code",
    "chat_template",
    "chat_template_kwargs",
    "template_date",
    "revision",
)


@dataclass(frozen=True)
class Choices:
    """The names that the user chose, for readable folder names: group -> option."""

    model: str
    dataset: str
    metric: str
    loss: str
    trainer: str


def build_graph(config: Config, choices: Choices, *, with_rewards: bool, digests: FileDigests) -> dict[str, Step]:
    """The steps of one run by name, in the order in which they are built.

    with_rewards: whether the pairs have or can be given rewards. The first step of a data set that is
    generated is its policy; a policy that is built from the data comes after the pairs.
    """
    return _Graph(config, choices, Path(config["output_root"]), digests).steps(with_rewards)


def slug(*parts: object) -> str:
    """A readable, safe folder name of at most 60 characters."""
    name = "-".join(str(part) for part in parts if part not in ("", None))
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60].strip("-.")


@dataclass(frozen=True)
class _Graph:
    config: Config
    choices: Choices
    root: Path
    digests: FileDigests

    def step(self, stage: Any, name: str, inputs: dict[str, Any], kind: str = "", **beside: Any) -> Step:
        return Step(kind or stage.__name__, name, stage, inputs, self.root, self.digests, beside)

    def steps(self, with_rewards: bool) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        late_model = builds_model(self.config["model"]) and needs_pairs(self.config["model"])
        if builds_model(self.config["model"]) and not late_model:
            steps["models"] = self.model_step(None)
        if self.config["generate"]:
            steps["generations"] = self.generations_step(starting_policy(self.config, steps, self.digests))
        steps["pairs"] = self.pairs_step(steps)
        if late_model:
            steps["models"] = self.model_step(steps["pairs"])
        if with_rewards:
            steps["rewards"] = self.rewards_step(steps["pairs"])
        steps["logps"] = self.logps_step(steps)
        steps["selection"] = self.selection_step(steps)
        steps["policy"] = self.train_step(steps)
        evaluations = {f"evaluation_{name}": self.evaluation_step(name, steps) for name in self.config["evals"] or {}}
        return steps | evaluations

    def model_step(self, pairs_step: Step | None) -> Step:
        node = {name: value for name, value in self.config["model"].items() if name not in _LOADING}
        return self.step(model, slug(self.choices.model), {"model": node, "pairs": pairs_step}, "models")

    def generations_step(self, policy: Policy) -> Step:
        # What is done with the pairs later does not sample other responses.
        later = {"holdout": 0.0, "chosen_reward": None, "rejected_reward": None}
        inputs = {
            "dataset": {**self.dataset(), **later},
            "generate": self.config["generate"],
            "reward": self.reward_node(),
            "policy": policy,
        }
        name = slug(self.choices.dataset, self.choices.model)
        beside = {"runtime": self.config["runtime"], "on_bad_row": self.config["dataset"]["on_bad_row"]}
        return self.step(generate, name, inputs, "generations", **beside)

    def pairs_step(self, steps: Mapping[str, Step]) -> Step:
        inputs = {"dataset": self.dataset(), "generations": steps.get("generations")}
        return self.step(pairs, slug(self.choices.dataset), inputs, on_bad_row=self.config["dataset"]["on_bad_row"])

    def dataset(self) -> Config:
        """The node of the dataset; whether bad rows stop a run makes no other pairs (job_steps.refuse_bad_rows)."""
        node = with_holdout(self.config["dataset"], self.config.get("until"))
        return without(pinned_dataset(node, self.config["task"]), "on_bad_row")

    def rewards_step(self, pairs_step: Step) -> Step:
        node = RECORDED if self.config["generate"] else self.reward_node()
        inputs = {"pairs": pairs_step, "reward": node}
        return self.step(rewards, slug(self.choices.dataset), inputs, runtime=self.config["runtime"])

    def reward_node(self) -> Config:
        return pinned_reward(without(self.config["reward"], "margin"), self.config["task"])

    def logps_step(self, steps: Mapping[str, Step]) -> Step:
        inputs = {
            "pairs": steps["pairs"],
            "policy": starting_policy(self.config, steps, self.digests),
            "tokens": self.config["tokens"],
        }
        name = slug(self.choices.dataset, self.choices.model)
        beside = {"runtime": self.config["runtime"], "on_bad_row": self.config["dataset"]["on_bad_row"]}
        return self.step(logps, name, inputs, **beside)

    def selection_step(self, steps: Mapping[str, Step]) -> Step:
        inputs: dict[str, Any] = {name: steps.get(name) for name in ("pairs", "logps", "rewards")}
        metric = with_rule(self.config["metric"], self.config.get("alpha_rule"))
        inputs |= {"metric": metric, "keep": self.config["keep"]}
        inputs["margin"] = self.config["reward"]["margin"]
        inputs["dtype"] = starting_policy(self.config, steps, self.digests).rounding
        return self.step(selection, slug(self.choices.metric, self.alpha(), self.choices.dataset), inputs)

    def alpha(self) -> str:
        alpha = self.config["metric"].get("alpha", "")
        if alpha == AUTO:
            return f"alpha_{rule_name(self.config['alpha_rule'])}"
        return f"alpha{self.config['alpha']:g}" if alpha != "" else ""

    def train_step(self, steps: Mapping[str, Step]) -> Step:
        inputs = {
            "policy": starting_policy(self.config, steps, self.digests),
            "logps": steps["logps"],
            "rewards": steps.get("rewards"),
            "selection": steps["selection"],
        }
        trainer = self.config["trainer"]
        inputs |= {"loss": self.config["loss"], "trainer": trainer, "seed": self.config["seed"]}
        adapter = self.config["adapter"] or None
        inputs["adapter"] = adapter
        together = forward_pairs(self.config["loss"], trainer["global_batch"], self.config["runtime"])
        if together is not None:
            inputs["forward_pairs"] = together
        name = slug(self.choices.loss, self.choices.metric, self.alpha(), self.choices.model, adapter_name(adapter))
        beside = {"runtime": self.config["runtime"], "deepspeed": self.config["deepspeed"] or None}
        return self.step(train, name, inputs, "policy", **beside)

    def evaluation_step(self, name: str, steps: Mapping[str, Step]) -> Step:
        inputs = {
            "evaluation": self.config["evals"][name],
            "policy": trained_policy(self.config, steps, self.digests),
            "starting_policy": starting_policy(self.config, steps, self.digests),
            "pairs": steps["pairs"],
            "logps": steps["logps"],
            "rewards": steps.get("rewards"),
        }
        folder = slug(name, steps["policy"].slug)
        return self.step(evaluate, folder, inputs, "evaluation", runtime=self.config["runtime"])


def up_to(steps: Mapping[str, Step], last: str | None) -> dict[str, Step]:
    """The steps up to and with the one of this name; None: all."""
    names = list(steps)
    return {name: steps[name] for name in (names if last is None else names[: names.index(last) + 1])}


def without(node: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A node less some of its settings."""
    return {key: value for key, value in node.items() if key not in names}
