"""What the steps are given."""

from pathlib import Path

import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import FileDigests
from apm_exp.jobs.job import refuse_bad_rows
from apm_exp.jobs.report_step import report_step
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.nodes import alpha_words
from apm_exp.pipeline.resolve import starting_policy
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.unroll import unroll
from tests.test_configs import compose

CHOICES = Choices("model", "dataset", "metric", "loss", "trainer")
HUB = ("model=micro_world", "dataset=hub", "dataset.path=someone/pairs", "reward=micro_world")


def steps_of(*overrides: str) -> dict[str, Step]:
    """The steps of the job that these overrides of the default one compose."""
    return unroll(compose(*overrides), CHOICES, FileDigests(Path("none")))


def test_prompts_of_the_hub_are_known_by_their_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apm_exp.data.sources.hub.commit_of", lambda path, revision, subset: "abc123")
    steps = steps_of(*HUB, "pipeline=on_policy")
    assert steps["prompts"].inputs["dataset"]["revision"] == "abc123"
    assert steps_of(*HUB, "pipeline=offline")["pairs"].inputs["dataset"]["revision"] == "abc123"


@pytest.mark.parametrize(
    "chosen", [("dataset=micro_world",), (*HUB, "pipeline=offline"), (*HUB, "model=tiny_from_data", "pipeline=offline")]
)
def test_another_hold_out_changes_no_pairs_log_probs_or_rewards(
    chosen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A selection alone ranks all pairs, and a training that follows holds out 5% of their prompts."""
    monkeypatch.setattr("apm_exp.data.sources.hub.commit_of", lambda path, revision, subset: "abc123")
    whole, selected, more = (
        steps_of(*chosen, *words) for words in ((), ("until=selection",), ("dataset.holdout=0.2",))
    )
    kinds = [name for name in selected if name != "selection"]
    assert {"pairs", "logps", "rewards"} <= set(kinds)
    assert [whole[name].key for name in kinds] == [selected[name].key for name in kinds]
    assert [steps["selection"].inputs["holdout"] for steps in (whole, selected, more)] == [0.05, 0.0, 0.2]
    assert [whole[name].key for name in ("pairs", "rewards")] == [more[name].key for name in ("pairs", "rewards")]


def test_a_whole_alpha_has_one_name() -> None:
    names = [alpha_words({"alpha": alpha, "metric": {"alpha": alpha}}) for alpha in (1, 1.0, 2.5)]
    assert names == ["alpha1", "alpha1", "alpha2.5"]


def training_key(loss: str, pairs: int, processes: int) -> str:
    return steps_of(f"loss={loss}", f"runtime.pairs_per_device={pairs}", f"runtime.processes={processes}")["policy"].key


@pytest.mark.parametrize("loss", ["kto", "aot", "aot_unpaired"])
def test_the_pairs_of_a_processs_forward_name_a_training_whose_loss_looks_across_them(loss: str) -> None:
    assert training_key(loss, 4, 1) != training_key(loss, 8, 1)
    assert training_key(loss, 4, 1) != training_key(loss, 4, 2)  # a small last batch is cut otherwise


@pytest.mark.parametrize("loss", ["bco", "alpha_dpo", "beta_dpo"])
def test_the_pairs_of_all_processes_forwards_name_a_training_whose_loss_has_running_numbers(loss: str) -> None:
    assert training_key(loss, 4, 1) != training_key(loss, 8, 1)
    assert training_key(loss, 4, 2) == training_key(loss, 8, 1)


@pytest.mark.parametrize("loss", ["dpo", "margin_sigmoid"])
def test_a_loss_of_single_pairs_trains_once_whatever_the_forwards(loss: str) -> None:
    assert training_key(loss, 4, 2) == training_key(loss, 8, 1) == training_key(loss, 1, 1)


def test_rounded_products_are_another_precision_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"dtype": "float32", "attention": "auto", "trust_remote_code": False, "path": "x", "revision": None}
    config = {"model": node, "runtime": {"device": "auto", "tf32": True}, "task": "plan"}
    monkeypatch.setattr("apm_exp.pipeline.resolve._given_weights", lambda config, digests: (Path("x"), "key", False))
    for device, rounding in {"cuda": "tf32", "cpu": "float32"}.items():
        monkeypatch.setattr("apm_exp.pipeline.resolve.pick_device", lambda runtime, device=device: device)
        assert starting_policy(config, None, FileDigests(Path("none"))).rounding == rounding


def keys_of(*overrides: str) -> dict[str, str]:
    """The keys of all steps of a job, and of its page."""
    config = compose("model=tiny_from_data", "dataset=jsonl", "dataset.path=none.jsonl", *overrides)
    steps = unroll(config, CHOICES, FileDigests(Path("none")))
    page = report_step(config, steps, metric_option="", command="", provenance={})
    return {name: step.key for name, step in (steps | {"report": page}).items()}


@pytest.mark.parametrize(
    "how",
    [
        "trainer.log_every=7",
        "trainer.save_every=null",
        "trainer.keep_checkpoints=2",
        "trainer.gradient_checkpointing=true",
        "dataset.on_bad_row=error",
        "model.attention=segments",
        "model.attention=flex",
        "model.dtype=float32",
        "output_root=elsewhere",
        "runtime.threads=2",
        "tracking=none",
    ],
)
def test_how_a_job_is_run_makes_no_step_another_one(how: str) -> None:
    assert keys_of(how) == keys_of()


def test_what_dtype_auto_stands_for_is_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = {}
    for dtype, fast in {"bfloat16": True, "float32": False}.items():
        monkeypatch.setattr("apm_exp.pipeline.resolve.multiplies_bfloat16", lambda device, fast=fast: fast)
        auto[dtype] = keys_of("model.dtype=auto")
        assert auto[dtype] == keys_of(f"model.dtype={dtype}")
    assert auto["bfloat16"]["logps"] != auto["float32"]["logps"]


@pytest.mark.parametrize(
    ("what", "first"),
    [
        ("trainer.epochs=2", "policy"),
        ("seed=1", "policy"),
        ("model.attention=eager", "logps"),
        ("dataset.limit=3", "pairs"),
    ],
)
def test_what_a_job_is_made_of_makes_its_step_and_what_follows_others(what: str, first: str) -> None:
    before, after = keys_of(), keys_of(what)
    names = list(before)
    changed = [name for name in names if before[name] != after[name]]
    assert first == changed[0]
    assert {"policy", "evaluation.held_out_pairs", "report"} <= set(changed)


def test_bad_rows_that_were_left_out_are_refused_later_where_none_may_be() -> None:
    config = {"dataset": {"on_bad_row": "error"}}
    for kind, counts in {"pairs": {"refused": 0}, "generations": {"refused": 2, "bad_rows": 0}, "policy": {}}.items():
        refuse_bad_rows(config, Artifact(kind, Path("x"), "k", counts, 0.0))
    bad = Artifact("pairs", Path("outputs/pairs/x"), "k", {"refused": 3}, 0.0)
    refuse_bad_rows({"dataset": {"on_bad_row": "refuse"}}, bad)
    with pytest.raises(ValueError, match=r"^dataset\.on_bad_row=error: 3 bad rows were left out of outputs/pairs/x \("):
        refuse_bad_rows(config, bad)
