"""A reward model from the Hub names what is made with it by its commit."""

from pathlib import Path

import pytest

from apm_exp.jobs.checks.preflight import _check_components
from apm_exp.models import pretrained
from apm_exp.pipeline.step import Step
from tests.conftest import COMMIT
from tests.pipeline.test_graph import steps_of
from tests.test_configs import compose

MOVED = "89" * 20


def step(*overrides: str) -> Step:
    """The step to which the reward source is given: it scores given pairs, or responses that are sampled here."""
    steps = steps_of("model=micro_world", "dataset=jsonl", "reward=classifier", "reward.path=owner/model", *overrides)
    return steps.get("rewards.responses", steps["rewards"])


@pytest.mark.parametrize("pipeline", ["offline", "on_policy"])
def test_what_moves_on_the_hub_does_not_keep_its_name(offline_cache: Path, pipeline: str) -> None:
    before = step(f"pipeline={pipeline}")
    assert before.inputs["reward"]["revision"] == COMMIT
    assert step(f"pipeline={pipeline}", "reward.revision=main").key == before.key
    (offline_cache.parent / MOVED).mkdir()
    (offline_cache.parent.parent / "refs" / "main").write_text(MOVED)
    pretrained._snapshot.cache_clear()  # as in another process
    assert step(f"pipeline={pipeline}").inputs["reward"]["revision"] == MOVED
    assert step(f"pipeline={pipeline}").key != before.key
    assert step(f"pipeline={pipeline}", f"reward.revision={COMMIT}").key == before.key


@pytest.mark.usefixtures("offline_cache")
def test_a_plan_downloads_no_reward_model(caplog: pytest.LogCaptureFixture) -> None:
    assert step("pipeline=offline", "task=plan").inputs["reward"]["revision"] == COMMIT  # it is cached
    elsewhere = ("pipeline=offline", "reward.path=owner/other")
    assert step("task=plan", *elsewhere).inputs["reward"]["revision"] is None
    _check_components(compose("task=plan", "reward=classifier", *elsewhere), ("reward",))
    assert caplog.messages == ["reward.path=owner/other: not cached yet; a run downloads it first"]
    with pytest.raises(ValueError, match=r"^reward\.path=owner/other: no such folder, and not available from"):
        step(*elsewhere)


def test_a_local_reward_model_is_known_by_its_content(
    offline_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = []
    for content in ("first", "second"):
        (offline_cache / "config.json").write_text(content)
        found = step("pipeline=offline", f"reward.path={offline_cache}")
        assert found.inputs["reward"]["revision"] is None  # a local folder has none, in the Hub's cache neither
        home = step("pipeline=offline", f"reward.path='~/{offline_cache.relative_to(tmp_path)}'")
        assert home.key == found.key
        keys.append(found.key)
    assert keys[0] != keys[1]


@pytest.mark.usefixtures("offline_cache")
@pytest.mark.parametrize("pipeline", ["offline", "on_policy"])
def test_the_batch_size_of_a_reward_model_makes_no_rewards_new(pipeline: str) -> None:
    small, large = (step(f"pipeline={pipeline}", f"reward.batch_size={size}") for size in (4, 16))
    assert small.key == large.key
    assert large.inputs["reward"]["batch_size"] == 16
    assert step(f"pipeline={pipeline}", "reward.max_length=100").key != large.key
