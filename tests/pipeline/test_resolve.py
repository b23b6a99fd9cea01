"""A reward model from the Hub names what is made with it by its commit."""

from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.jobs.checks.preflight import _check_reward_model
from apm_exp.models import pretrained
from apm_exp.pipeline.graph import Choices, build_graph
from apm_exp.pipeline.step import Step
from tests.conftest import COMMIT
from tests.test_configs import compose

MOVED = "89" * 20


def step(*overrides: str) -> Step:
    """The step to which the reward source is given: it scores given pairs, or with generate=on_policy samples."""
    config: dict[str, Any] = compose("reward=classifier", "reward.path=owner/model", *overrides)
    choices = Choices("micro_world", "micro_world", "map", "dpo", "pairs")
    steps = build_graph(config, choices, with_rewards=True, digests=FileDigests(Path("none")))
    return steps["generations" if config["generate"] else "rewards"]


@pytest.mark.parametrize("generate", ["none", "on_policy"])
def test_what_moves_on_the_hub_does_not_keep_its_name(offline_cache: Path, generate: str) -> None:
    before = step(f"generate={generate}")
    assert before.inputs["reward"]["revision"] == COMMIT
    assert step(f"generate={generate}", "reward.revision=main").key == before.key
    (offline_cache.parent / MOVED).mkdir()
    (offline_cache.parent.parent / "refs" / "main").write_text(MOVED)
    pretrained._snapshot.cache_clear()  # as in another process
    assert step(f"generate={generate}").inputs["reward"]["revision"] == MOVED
    assert step(f"generate={generate}").key != before.key
    assert step(f"generate={generate}", f"reward.revision={COMMIT}").key == before.key


@pytest.mark.usefixtures("offline_cache")
def test_a_plan_downloads_no_reward_model(caplog: pytest.LogCaptureFixture) -> None:
    assert step("generate=none", "task=plan").inputs["reward"]["revision"] == COMMIT  # it is cached
    elsewhere = ("generate=none", "reward.path=owner/other")
    assert step("task=plan", *elsewhere).inputs["reward"]["revision"] is None
    _check_reward_model(compose("task=plan", "reward=classifier", *elsewhere))
    assert caplog.messages == ["reward.path=owner/other: not here yet; a run downloads it first"]
    with pytest.raises(ValueError, match=r"^reward\.path=owner/other: no such folder, and not available from"):
        step(*elsewhere)


def test_a_local_reward_model_is_known_by_its_content(
    offline_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = []
    for content in ("first", "second"):
        (offline_cache / "config.json").write_text(content)
        found = step("generate=none", f"reward.path={offline_cache}")
        assert found.inputs["reward"]["revision"] is None  # a local folder has none, in the Hub's cache neither
        home = step("generate=none", f"reward.path='~/{offline_cache.relative_to(tmp_path)}'")
        assert home.key == found.key
        keys.append(found.key)
    assert keys[0] != keys[1]


@pytest.mark.usefixtures("offline_cache")
@pytest.mark.parametrize("generate", ["none", "on_policy"])
def test_the_batch_size_of_a_reward_model_makes_no_rewards_new(generate: str) -> None:
    small, large = (step(f"generate={generate}", f"reward.batch_size={size}") for size in (4, 16))
    assert small.key == large.key
    assert large.inputs["reward"]["batch_size"] == 16
    assert step(f"generate={generate}", "reward.max_length=100").key != large.key
