"""An adapter makes another trained policy, and the same scores."""

from apm_exp.core.digest import FileDigests
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.unroll import unroll
from tests.test_configs import compose

SCORING = ("models", "prompts", "generations", "pairs", "rewards", "logps", "selection")


def keys(tmp_path, *overrides):
    config = {**compose(*overrides), "output_root": str(tmp_path)}
    choices = Choices("micro_world", "micro_world", "map", "dpo", "pairs")
    steps = unroll(config, choices, FileDigests(tmp_path / "digests.json"))
    return {name: step.key for name, step in steps.items()}, steps["policy"].slug


def test_the_adapter_is_in_the_trainings_key_and_not_in_that_of_scoring(tmp_path):
    rate = "trainer.learning_rate=1e-3"
    chosen = ("none", "lora", "qlora")
    found = [keys(tmp_path, rate, f"adapter={name}") for name in chosen]
    found.append(keys(tmp_path, rate, "adapter=lora", "adapter.rank=8"))
    for name in SCORING:
        assert len({one[name] for one, _ in found}) == 1, name
    for name in ("policy", "evaluation.win_rate"):
        assert len({one[name] for one, _ in found}) == len(found), name
    assert [slug.rpartition("-")[2] for _, slug in found] == ["micro_world", "lora", "qlora", "lora"]
