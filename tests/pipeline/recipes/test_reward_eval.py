"""pipeline=reward_eval: pairs, rewards, their evaluation and its page, from the command line and in part."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.step_names import kind_of
from apm_exp.jobs.checks.preflight import check_inputs
from apm_exp.jobs.checks.settings import check_config
from apm_exp.jobs.foresee import foresee
from apm_exp.jobs.plan.plan import plan_of
from apm_exp.pipeline.build import build
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from tests.command import apm_exp
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose

ROWS = [("Name a color.", 2.0, 1.0), ("Name a <b>fruit</b>.", 0.5, 3.0), ("Count.", 1.0, 1.0), ("Sing.", 4.0, 1.0)]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    names = ("prompt", "chosen_reward", "rejected_reward")
    lines = [dict(zip(names, row, strict=True)) | {"chosen": "good", "rejected": "bad"} for row in ROWS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "pairs.jsonl"


def steps_of(pairs: Path, *overrides: str) -> dict[str, Step]:
    own = ("pipeline=reward_eval", "dataset=jsonl", f"dataset.path={pairs}", f"output_root={pairs.parent}")
    return unroll(compose(*own, *overrides), CHOICES, FileDigests(pairs.parent / "digests.json"))


def test_another_source_computes_only_its_rewards_and_what_follows(pairs: Path) -> None:
    one, other = steps_of(pairs), steps_of(pairs, "reward=classifier", f"reward.path={pairs.parent}")
    assert [*one] == ["pairs", "rewards", "evaluation.reward_accuracy", "reward_page"]
    assert [name for name in one if one[name].key == other[name].key] == ["pairs"]
    sources = ("+reward@reward.sources.a=recorded", "+reward@reward.sources.b=micro_world")
    mixed = steps_of(pairs, "reward=mixture", *sources)
    assert [kind_of(name) for name in mixed] == ["pairs", "rewards", "rewards", "rewards", "evaluation", "reward_page"]
    assert mixed["rewards.a"].key == one["rewards"].key


def test_command(pairs: Path) -> None:
    """Of margins 1, -2.5, 0 and 3, two and a half are right. The rewards contradict no label that must be kept."""
    typed = ("pipeline=reward_eval", "dataset=jsonl", "dataset.path=pairs.jsonl")
    first = apm_exp(pairs.parent, *typed)
    assert first.returncode == 0, first.stderr
    last = first.stderr.splitlines()[-1]
    assert last.startswith("reward accuracy 62% (22 to 91), n = 4 | report: outputs/reward_page/")
    page = (pairs.parent / last.rpartition("report: ")[2]).read_text()
    assert "Name a &lt;b&gt;fruit&lt;/b&gt;." in page
    assert "Name a color." not in page  # only pairs that the source gets wrong
    assert "reward accuracy" in page
    result = json.loads((pairs.parent / "outputs/runs/latest/result.json").read_text())
    assert result["scores"]["reward_accuracy"]["value"] == 0.625
    assert "settings" not in first.stderr
    again = apm_exp(pairs.parent, *typed)
    assert "4 steps reused" in again.stderr
    refused = apm_exp(pairs.parent, *typed, "metric=uniform")
    assert "metric=uniform: pipeline=reward_eval has no policy and selects no pairs; leave it out" in refused.stderr


def test_pairs_without_rewards_are_refused_before_any_work(pairs: Path) -> None:
    pairs.write_text("\n".join(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) for _ in range(3)))
    config = compose("pipeline=reward_eval", "dataset=jsonl", f"dataset.path={pairs}", f"output_root={pairs.parent}")
    with pytest.raises(
        ValueError, match=r"^reward=recorded: the rows of dataset\.path=\S* have none; name their columns"
    ):
        check_inputs(config)


def length(responses: pa.Table) -> list[list[float] | None]:
    """Reward long responses."""
    return [[float(len(text)) for text in texts] for texts in responses["responses"].to_pylist()]


def test_accepted_and_rejected_conversations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FLR's layout has no rewards; the longer response is the accepted one in one of two pairs."""
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})
    for name, last in (("accept", ["Hello!", "4"]), ("reject", ["No.", "Five"])):
        rows = [["Hi", last[0]], {"conversation": ["2 + 2?", last[1]]}]
        (tmp_path / f"shp_{name}.json").write_text(json.dumps(rows))
    own = ("dataset=accept_reject", f"dataset.path={tmp_path}/shp_*.json", f"reward._target_={__name__}.length")
    config = compose("pipeline=reward_eval", f"output_root={tmp_path}", *own)
    check_config(config)
    steps = unroll(config, CHOICES, FileDigests(tmp_path / "digests.json"))
    assert plan_of("plan", steps, config).shape is None
    made = {name: build(step).path for name, step in steps.items()}
    scores = json.loads((made["evaluation.reward_accuracy"] / "scores.json").read_text())
    assert (scores["reward_accuracy"]["value"], scores["reward_margin"]["value"]) == (0.5, 0.0)
    assert "2 + 2?" in (made["reward_page"] / "report.html").read_text()


def test_rated_responses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Rewards 1, 3, 2 (the lengths) of ratings 1, 2, 5: Spearman 1/2; a row without a rating is listed."""
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})
    rows = [{"prompt": "Hi", "response": "a", "stars": 1}, {"prompt": "Hi", "response": "bbb", "stars": 2}]
    rows += [{"prompt": "Ho", "response": "cc", "stars": 5}, {"prompt": "Ho", "response": "cc", "stars": None}]
    (tmp_path / "rated.jsonl").write_text("\n".join(map(json.dumps, rows)))
    own = ("dataset=rated", f"dataset.path={tmp_path}/rated.jsonl", "dataset.rating=stars", f"output_root={tmp_path}")
    config = compose("pipeline=reward_eval", *own, f"reward._target_={__name__}.length")
    check_config(config)
    check_inputs(config)
    steps = unroll(config, CHOICES, FileDigests(tmp_path / "digests.json"))
    assert plan_of("plan", steps, config).known["rated"] == {"prompts": 4, "responses": 4}
    made = {name: build(step) for name, step in steps.items()}
    assert [*made] == ["rated", "rewards", "evaluation.reward_correlation", "reward_page"]
    assert made["rated"].counts == {"rows": 4, "prompts": 2, "responses": 3, "refused": 1}
    assert "no rating 1" in caplog.text
    scores = json.loads((made["evaluation.reward_correlation"].path / "scores.json").read_text())
    assert scores["reward_spearman"]["value"] == pytest.approx(0.5, abs=1e-12)
    assert "Rewards and ratings" in (made["reward_page"].path / "report.html").read_text()
    recorded = compose("pipeline=reward_eval", *own)
    with pytest.raises(ValueError, match=r"^reward=recorded: "):
        foresee(unroll(recorded, CHOICES, FileDigests(tmp_path / "digests.json")), {})
    trained = compose("pipeline=offline", "model=local", "model.path=x", *own, "dataset.holdout=0")
    with pytest.raises(ValueError, match=r"^dataset=rated: .*; use pipeline=reward_eval"):
        check_inputs(trained)
