"""What the steps are given."""

from pathlib import Path
from typing import Any

import pytest

from apm_exp.digest import FileDigests
from apm_exp.page_step import report_step
from apm_exp.pipeline import Choices, _Graph, build_graph
from apm_exp.types import Policy
from tests.test_configs import compose

HUB = {"_target_": "apm_exp.data.hub.hub", "path": "someone/pairs", "revision": None}


def graph(root: Path, **config: Any) -> _Graph:
    choices = Choices("local", "hub", "map", "dpo", "pairs")
    return _Graph(config, choices, root, FileDigests(root / "digests.json"))


def test_prompts_of_the_hub_are_known_by_their_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apm_exp.data.hub.commit_of", lambda path, revision: "abc123")
    policy = Policy(tmp_path, "key", "float32", "auto", False)
    step = graph(tmp_path, dataset=HUB, generate={}, reward={}, runtime={}).generations_step(policy)
    assert step.inputs["dataset"]["revision"] == "abc123"


def test_a_whole_alpha_has_one_name(tmp_path: Path) -> None:
    names = [graph(tmp_path, alpha=alpha, metric={"alpha": alpha}).alpha() for alpha in (1, 1.0, 2.5)]
    assert names == ["alpha1", "alpha1", "alpha2.5"]


def report_key(root: Path, **changes: Any) -> str:
    config: dict[str, Any] = {
        "task": "run",
        "rebuild": "none",
        "until": None,
        "runtime": {"threads": 1},
        "deepspeed": {},
    }
    config |= {"tracking": {}, "output_root": "a", "trusted_packages": [], "compare": {}, "seed": 0}
    config |= {"trainer": {"epochs": 1, "save_every": 10, "keep_checkpoints": 0}} | changes
    steps = {"policy": graph(root, **config).step(lambda out: {}, "policy", {}, kind="policy")}
    return report_step(config, steps, command=str(changes), provenance={"argv": list(changes)}).key


def test_how_a_run_is_made_makes_no_other_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_pipeline.VERSION", 1, raising=False)
    trainer = {"epochs": 1, "save_every": None, "keep_checkpoints": 2}
    for how in ({"runtime": {"threads": 2}}, {"tracking": {"mode": "x"}}, {"output_root": "b"}, {"trainer": trainer}):
        assert report_key(tmp_path, **how) == report_key(tmp_path)
    assert report_key(tmp_path, seed=1) != report_key(tmp_path)
    assert report_key(tmp_path, trainer=trainer | {"epochs": 2}) != report_key(tmp_path)


@pytest.mark.parametrize(("loss", "differs"), [("kto", True), ("aot", True), ("aot_unpaired", True), ("dpo", False)])
def test_the_pairs_of_a_forward_name_a_training_whose_loss_looks_across_them(loss: str, differs: bool) -> None:
    keys = set()
    for pairs in (4, 8):
        config = compose(f"loss={loss}", f"runtime.pairs_per_device={pairs}")
        choices = Choices("micro_world", "micro_world", "map", loss, "pairs")
        keys.add(build_graph(config, choices, with_rewards=True, digests=FileDigests(Path("none")))["policy"].key)
    assert len(keys) == (2 if differs else 1)
