"""The experiment as a graph of steps, with their dependencies and settings. Nothing is computed here."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.told import ask, told
from apm_exp.core.types import Policy
from apm_exp.data.sources.holdout import holdout_of
from apm_exp.pipeline import nodes
from apm_exp.pipeline.changes import with_changes
from apm_exp.pipeline.choices import Choices, slug
from apm_exp.pipeline.forward_pairs import forward_pairs
from apm_exp.pipeline.resolve import builds_model, needs_pairs, pinned_reward, starting_policy
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.stages.evaluate import inputs_of
from apm_exp.pipeline.step import Step
from apm_exp.selection.alpha_rules.choose import with_rule
from apm_exp.training.adapters.preflight import adapter_name

Config = Mapping[str, Any]
Part = Mapping[str, Step]  # logps, rewards and selection of one set of training pairs


@dataclass(frozen=True)
class Scored:
    """Pairs with their rewards and the log-probs of a policy."""

    pairs: Step
    rewards: Step
    logps: Step


class Graph:
    """The steps of one run in the order in which they are built. A recipe adds steps with one method per stage.

    Adding a step with the same inputs again returns the existing step. Steps that are added inside `part` have the
    part's name in their names.
    """

    def __init__(self, config: Config, choices: Choices, digests: FileDigests) -> None:
        self.config, self.choices, self.digests = config, choices, digests
        self.steps: dict[str, Step] = {}
        self.at = ""
        self.scored: list[Scored] = []
        self._by_key: dict[str, Step] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the name of this part to the names of the steps that are added inside the block."""
        before, self.at = self.at, f"{self.at}-{name}".strip("-")
        yield
        self.at = before

    @contextmanager
    def changed(self, changes: Config) -> Iterator[None]:
        """Use other values of some settings, given by their dotted names, for the steps added inside the block."""
        before, self.config = self.config, with_changes(self.config, changes)
        yield
        self.config = before

    def add(self, kind: str, name: str, inputs: Config, **beside: Any) -> Step:
        """Return the step with these inputs, which is added if it is new.

        name: the folder's, without the key. beside: arguments of the stage that are not hashed. Raises ValueError if
        another step of the run has the same name.
        """
        root = Path(self.config["output_root"])
        step = Step(kind, self.at, name, STAGES[kind].run, inputs, root, self.digests, beside)
        same = self._by_key.setdefault(step.key, step)
        if same is step and self.steps.setdefault(step.name, step) is not step:
            target = self.config["pipeline"]["_target_"]
            problem = f"two different steps of this recipe are named {step.name}"
            raise ValueError(f"pipeline._target_={target}: {problem}; add one of them inside: with graph.part(NAME)")
        return same

    def starting_policy(self, pairs: Step | None = None) -> Policy:
        """Return the policy that `model` names; if it is built here, its step is added, with `pairs` if it needs them.

        Raises ValueError if it needs pairs and there are none.
        """
        node, made_by = self.config["model"], None
        if builds_model(node):
            if needs_pairs(node) and pairs is None:
                raise ValueError(nodes.needs_given_pairs(node))
            made: dict[str, Any] = {"model": nodes.built_model(node), "pairs": None}
            if needs_pairs(node):  # the hold-out of a training, so that until=selection scores with the same model
                made |= {"pairs": pairs, "holdout": holdout_of(self.config["dataset"], until=None)}
            made_by = self.add("models", slug(self.choices.model), made)
        return starting_policy(self.config, made_by, self.digests)

    def prompts(
        self, node: Config, name: str, available: Mapping[str, Any] | None = None, seeds: Step | None = None
    ) -> Step:
        """Return the prompts of a dataset node, without duplicates. name: the folder's.

        available: the arguments that its component may request by its positional parameters, such as the pairs. seeds:
        other prompts of the run, which are left out.
        """
        inputs: dict[str, Any] = {"dataset": nodes.rows_of(node, self.config["task"]), **nodes.drawn_from(node)}
        if given := inputs_of(node, available or {}, "dataset"):
            inputs["given"] = given
        if seeds is not None:
            inputs["seeds"] = seeds
        return self.add("prompts", slug(name), inputs, on_bad_row=node.get("on_bad_row", "refuse"))

    def generations(self, prompts: Step, policy: Policy, node: Config, stream: str = "") -> Step:
        """Return the responses of a policy, or of another model if the sampler declares OF_POLICY = False.

        stream: responses of different streams are independent of each other.
        """
        if "samples" not in node:
            target, remedy = node["_target_"], "give its option a line samples: NUMBER"
            raise ValueError(f"generate._target_={target}: its settings have no number of responses; {remedy}")
        others = told("generate", node, "OF_POLICY") is False
        inputs = {"prompts": prompts, "policy": None if others else policy, "generate": nodes.in_stream(node, stream)}
        name = slug(prompts.slug, component.name_of(node) if others else self._name_of(policy))
        return self.add("generations", name, inputs, runtime=self.config["runtime"])

    def rewards(self, responses: Step, node: Config) -> Step:
        """Return the rewards of the responses of pairs or of generations, by the reward source of a node.

        The sources that it is made of (`sources_of` of its module) are steps of their own, in parts of their names.
        """
        pinned = pinned_reward(nodes.of_source(node), self.config["task"])
        inputs = {"responses": responses, "reward": pinned}
        if (sources := ask("reward", pinned, "sources_of")) is not None:
            inputs["sources"] = {name: self._source(name, responses, each) for name, each in sources.items()}
        return self.add("rewards", slug(responses.slug), inputs, runtime=self.config["runtime"])

    def _source(self, name: str, responses: Step, node: Config) -> Step:
        with self.part(name):
            return self.rewards(responses, node)

    def pairs(self, sampled: Mapping[str, Any] | None = None) -> Step:
        """Return the pairs of the data set; or, if `sampled` is given, those of a pairing rule.

        sampled: generations, rewards and pairing (see stages.pairs).
        """
        dataset = nodes.pairs_of(self.config, sampled=sampled is not None)
        beside = {"on_bad_row": self.config["dataset"]["on_bad_row"]}
        return self.add("pairs", slug(self.choices.dataset), {"dataset": dataset, "sampled": sampled}, **beside)

    def rated(self) -> Step:
        """Return the rated responses of the data set, by prompt."""
        node = self.config["dataset"]
        inputs = {"dataset": nodes.rows_of(node, self.config["task"]), "drawing": nodes.drawn_from(node)}
        return self.add("rated", slug(self.choices.dataset), inputs, on_bad_row=node["on_bad_row"])

    def logps(self, pairs: Step, policy: Policy) -> Step:
        """Return the tokens of the pairs and their log-probs under a policy."""
        inputs = {"pairs": pairs, "policy": policy, "tokens": self.config["tokens"]}
        beside = {"runtime": self.config["runtime"], "on_bad_row": self.config["dataset"]["on_bad_row"]}
        return self.add("logps", slug(self.choices.dataset, self._name_of(policy)), inputs, **beside)

    def selection(self, scored: Scored, metric: Config, keep: Config) -> Step:
        """Return the selection of a keep rule from the scored pairs, by a metric."""
        dtype = scored.logps.inputs["policy"].rounding
        inputs: dict[str, Any] = {"pairs": scored.pairs, "logps": scored.logps, "rewards": scored.rewards}
        inputs |= {"metric": with_rule(metric, self.config.get("alpha_rule")), "keep": keep, "dtype": dtype}
        inputs |= {"margin": self.config["reward"]["margin"]}
        inputs |= {"holdout": holdout_of(self.config["dataset"], self.config["until"])}
        inputs |= {"rewarded_only": nodes.needs_rewards(self.config, metric)}
        return self.add("selection", slug(*self._metric_words(), self.choices.dataset), inputs)

    def train(self, policy: Policy, parts: Sequence[Part]) -> Policy:
        """Return the policy that results from training `policy` on the pairs that the parts keep.

        It is loaded with the same settings as `policy`.
        """
        config = self.config
        trainer, adapter = config["trainer"], config["adapter"] or None
        inputs = {"policy": policy, "parts": list(parts), "loss": config["loss"], "trainer": trainer}
        inputs |= {"seed": config["seed"], "adapter": adapter}
        together = forward_pairs(config["loss"], trainer["global_batch"], config["runtime"])
        inputs |= {} if together is None else {"forward_pairs": together}
        name = slug(self.choices.loss, *self._metric_words(), self.choices.model, adapter_name(adapter))
        beside = {"runtime": config["runtime"], "deepspeed": config["deepspeed"] or None}
        step = self.add("policy", name, inputs, **beside)
        folder = step.folder / "final"
        return replace(policy, folder=folder, key=step.key, chat_template=None, made_by=step, local=False)

    def evaluation(self, name: str, node: Config, available: Mapping[str, Any]) -> Step:
        """Return an evaluation. available: what its function may ask for (see stages.evaluate.inputs_of)."""
        inputs = {"evaluation": node, "given": inputs_of(node, available)}
        step = available["policy"].made_by if "policy" in available else available["rewards"]
        return self.add("evaluation", slug(name, step.slug), inputs, runtime=self.config["runtime"])

    def _name_of(self, policy: Policy) -> str:
        """Return a policy's name for folders: that of its training step, or of the starting policy."""
        step = policy.made_by
        return self.choices.model if step is None or step.kind == "models" else f"{step.slug}-{step.key[:4]}"

    def _metric_words(self) -> tuple[str, str]:
        return self.choices.metric, nodes.alpha_words(self.config)
