"""Components of another package are pinned, checked and counted like those that ship: their modules say how."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.told import ask
from apm_exp.data.sources.count import count_rows
from apm_exp.jobs.checks.preflight import _check_components
from apm_exp.jobs.checks.rewards import check_rewards
from apm_exp.jobs.checks.settings import check_config
from apm_exp.jobs.plan.disk import job_disk
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.resolve import is_here, pinned
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from apm_exp.selection.alpha_rules.choose import check_rule
from apm_exp.selection.keep.preflight import check_keep, most_kept
from tests.conftest import COMMIT
from tests.test_configs import compose

OWN = "tests.second"
MODEL = {
    "_target_": f"{OWN}.reward_model.reward_model",
    "path": "owner/model",
    "revision": None,
    "low": 0.0,
    "high": 1.0,
}
CHOICES = Choices("micro_world", "micro_world", "map", "dpo", "pairs")


@pytest.fixture(autouse=True)
def _trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})


def config(*overrides: str, **nodes: Mapping[str, Any]) -> dict[str, Any]:
    composed = compose("pipeline=offline", *overrides, "trusted_packages=[tests]")
    margin = {"margin": "chosen_minus_rejected"}
    return composed | nodes | {"reward": {**nodes.get("reward", MODEL), **margin}}


def steps(composed: dict[str, Any]) -> dict[str, Step]:
    return unroll(composed, CHOICES, FileDigests(Path("none")))


@pytest.mark.usefixtures("offline_cache")
def test_a_second_reward_model_is_known_by_its_commit() -> None:
    key = steps(config())["rewards"].key
    assert steps(config())["rewards"].inputs["reward"]["revision"] == COMMIT
    assert steps(config(reward=MODEL | {"revision": "main"}))["rewards"].key == key
    assert steps(config(reward=MODEL | {"high": 2.0}))["rewards"].key != key
    assert is_here("reward", MODEL)
    assert not is_here("reward", MODEL | {"path": "owner/other"})
    check_rewards(config())  # a source of rewards, whatever the rows have


@pytest.mark.usefixtures("offline_cache")
def test_a_second_reward_model_is_checked_before_any_work(
    caplog: pytest.LogCaptureFixture, offline_cache: Path
) -> None:
    check_config(config())
    with pytest.raises(ValueError, match=r"^reward\.low=3\.0: must be below reward\.high=1\.0$"):
        check_config(config(reward=MODEL | {"low": 3.0}))
    with pytest.raises(ValueError, match=r"^reward\.hihg=1: no such setting; did you mean 'high'\?$"):
        check_config(config(reward=MODEL | {"hihg": 1}))
    (offline_cache / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"^reward\.path=owner/model: no weights; give a folder that has some$"):
        _check_components(config(), ("reward",))
    (offline_cache / "model.safetensors").touch()
    _check_components(config(), ("reward",))
    assert not caplog.messages
    _check_components(config("task=plan", reward=MODEL | {"path": "owner/other"}), ("reward",))
    assert caplog.messages == ["reward.path=owner/other: not cached yet; a run downloads it first"]


@pytest.mark.usefixtures("offline_cache")
def test_nodes_inside_a_node_are_pinned_and_checked_at_any_depth() -> None:
    def mean(**changes: Any) -> dict[str, Any]:
        inner = {"_target_": f"{OWN}.mean_of.mean_of", "sources": {"first": {**MODEL, **changes}}, "weight": 1.0}
        return {"_target_": f"{OWN}.mean_of.mean_of", "sources": {"all": [inner, MODEL]}, "weight": 0.5}

    check_config(config(reward=mean()))
    place = r"^reward\.sources\.all\.0\.sources\.first\."
    with pytest.raises(ValueError, match=place + r"hgh=2: no such setting; did you mean 'high'\?$"):
        check_config(config(reward=mean(hgh=2)))
    with pytest.raises(ValueError, match=place + r"low=x: input should be a valid number$"):
        check_config(config(reward=mean(low="x")))
    with pytest.raises(ValueError, match=place + r"_target_=os\.system: not a function of a trusted package; "):
        check_config(config(reward=mean(_target_="os.system")))
    with pytest.raises(ValueError, match=r"^reward\.low=3\.0: must be below"):
        check_config(config(reward=mean(low=3.0)))
    inner, outer = pinned("reward", mean(), "run")["sources"]["all"]
    assert inner["sources"]["first"]["revision"] == outer["revision"] == COMMIT
    assert not is_here("reward", mean(path="owner/other"))


def test_what_a_module_asks_for_must_be_a_setting_of_the_component() -> None:
    other = {"_target_": f"{OWN}.reward_model.pin", "path": "owner/model", "revision": None}
    with pytest.raises(ValueError, match=r"^reward\._target_=.*: check\(\) in its file asks for low, high, "):
        ask("reward", other, "check")


def test_the_rows_and_files_of_a_second_source_are_counted(tmp_path: Path) -> None:
    for name, count in (("a", 3), ("b", 5)):
        (tmp_path / name).write_text("".join(f"question {name}{number}\n" for number in range(count)))
    known = {name: value for name, value in compose("pipeline=offline")["dataset"].items() if name != "prompts"}
    node = known | {"_target_": f"{OWN}.lines.lines", "folder": str(tmp_path), "most": 4}
    recorded = {"_target_": "apm_exp.data.rewards.recorded.recorded"}
    whole = config(dataset=node, reward=recorded)
    check_config(whole)
    assert count_rows(node) == 3 + 4
    assert count_rows(node | {"limit": 5}) == 5
    pairs = {"pairs": steps(whole)["pairs"]}
    assert job_disk(whole, pairs, {}, None).total == sum(file.stat().st_size for file in tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"^reward=recorded: the metric map needs rewards, but the rows of "):
        check_rewards(whole)  # its first rows were looked at


def test_a_second_keep_rule_that_does_not_look_at_values_is_asked_what_it_can_say() -> None:
    keep = {"_target_": f"{OWN}.first_pairs.first_pairs", "number": 30}
    assert most_kept(keep, 50) == 30
    check_keep(keep, 30)
    check_keep(keep, None)
    with pytest.raises(ValueError, match=r"^keep\.number=30: there are only 20 pairs$"):
        check_keep(keep, 20)
    by_value = {"_target_": "apm_exp.selection.keep.top_k.top_k", "k": 5000}
    metric = {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": "auto", "rescale": True}
    balanced = {"_target_": "apm_exp.selection.alpha_rules.balanced.balanced"}
    check_rule(metric, balanced, by_value, None)
    with pytest.raises(ValueError, match="the rule balanced needs a keep rule that uses the values"):
        check_rule(metric, balanced, keep, None)
