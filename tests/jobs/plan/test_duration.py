"""Expected times: scaled from comparable records, or by the peak of a named device, else unknown."""

from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.digest import FileDigests
from apm_exp.core.sealed import write_sealed
from apm_exp.jobs.plan.device import SHARE, sampling_seconds, seconds_at_peak
from apm_exp.jobs.plan.duration import Takes, expected_seconds
from apm_exp.models.shape import llama
from apm_exp.pipeline.step import Step
from apm_exp.runtime.accelerators import ACCELERATORS, accelerator, on_accelerators
from apm_exp.runtime.device import pick_device


def stage(out: Path, **_: Any) -> dict[str, int]:
    return {}


def step(root: Path, kind: str, **inputs: Any) -> Step:
    return Step(kind, "", "s", stage, inputs, root, FileDigests(root / ".digests.json"))


def record(root: Path, kind: str, name: str, seconds: float, counts: dict[str, int], **performed: Any) -> None:
    folder = root / kind / name
    folder.mkdir(parents=True)
    more = {"performed": {"device": "cpu", "processes": 1, "pair": None} | performed} if performed else {}
    write_sealed({"key": "k", "files": {}, "seconds": seconds, "counts": counts, **more}, folder / "done")


def test_steps_with_a_model_are_scaled_by_their_operations(tmp_path: Path) -> None:
    record(tmp_path, "policy", "s-01234567", 30.0, {"optimizer_steps": 9}, flops=1e12, parameters=1_000_000)
    record(tmp_path, "policy", "t-01234567", 50.0, {"optimizer_steps": 9}, flops=1e12, parameters=1_000_000)
    record(tmp_path, "policy", "u-01234567", 1.0, {"optimizer_steps": 9})  # of a version that did not say
    policy = step(tmp_path, "policy")
    assert expected_seconds(policy, {"optimizer_steps": 1}, Takes(2e12, 2_000_000, "cpu", 1)) == 80.0  # median: 60, 100
    assert expected_seconds(policy, {"optimizer_steps": 1}, Takes(2e12, 2_000_000, "cpu", 2)) == 40.0


def test_nothing_of_comparable_size_is_unknown(tmp_path: Path) -> None:
    """45 s of a training of 162,752 weights say nothing of one of 8 billion."""
    record(tmp_path, "policy", "s-01234567", 45.0, {"optimizer_steps": 48}, flops=1e12, parameters=162_752)
    policy = step(tmp_path, "policy")
    assert expected_seconds(policy, {"optimizer_steps": 48}, Takes(1e12, 8_030_261_248, "cpu", 1)) is None
    assert expected_seconds(policy, {"optimizer_steps": 48}, Takes(1e18, 162_752, "cpu", 1)) is None
    assert expected_seconds(policy, {"optimizer_steps": 48}, Takes(1e12, 162_752, "cuda", 1)) is None
    assert expected_seconds(policy, {"optimizer_steps": 48}, None, through_model=True) is None
    assert expected_seconds(policy, {"optimizer_steps": 48}, Takes(1e12, 162_752, "cpu", 1)) == 45.0


def test_steps_without_a_model_are_scaled_by_their_counts(tmp_path: Path) -> None:
    record(tmp_path, "rewards", "s-01234567", 3.0, {"pairs": 10})
    record(tmp_path, "rewards", "t-01234567", 90.0, {"pairs": 10}, flops=1e12, parameters=9)  # a reward model's
    rewards = step(tmp_path, "rewards")
    assert expected_seconds(rewards, {"pairs": 20}, None) == 6.0
    assert expected_seconds(rewards, {"pairs": 1000}, None) is None


def test_seconds_at_the_share_of_the_peak() -> None:
    assert seconds_at_peak(ACCELERATORS["h100"], 989e12 * SHARE * 3600 * 8, 8) == pytest.approx(3600)


def test_sampling_is_bound_by_the_weights_that_each_token_reads(tmp_path: Path) -> None:
    generate = {"max_new_tokens": 100, "batch_size": 10, "samples": 5}
    generations = step(tmp_path, "generations", generate=generate)
    shape = llama(hidden=4, layers=2, heads=2, intermediate=8, vocabulary=10, tied=True)
    a_token = 2 * 2 * 4 * 2  # keys and values of two layers, in 16 bits
    for length in (100, 40):
        weights = 2 * shape.active * 3 * length  # 30 responses, ten at a time
        cache = 30 * length * (5 / 5 + length / 2) * a_token  # a prompt of 5 tokens is read for 5 responses at once
        expected = (weights + cache) / (SHARE * 3_350e9)
        seconds = sampling_seconds(ACCELERATORS["h100"], generations, {"responses": 30}, shape, (5, length, length))
        assert seconds == pytest.approx(expected)


def test_names_of_devices() -> None:
    assert accelerator("8xh100") == (8, ACCELERATORS["h100"])
    assert accelerator("A100") == (None, ACCELERATORS["a100"])
    assert accelerator(4090) == (None, ACCELERATORS["4090"])  # as YAML reads it
    for name in ("h101", "0xh100", "h100x8", ""):
        with pytest.raises(
            ValueError, match=rf"^runtime\.plan_for={name}: not a known device; choose from a10, a100, "
        ):
            accelerator(name)


def test_a_plan_is_of_the_device_that_is_named_whatever_is_here() -> None:
    here = {"device": "cpu", "processes": 4, "nodes": 2, "plan_for": None}
    assert on_accelerators(here) == here
    planned = on_accelerators({**here, "plan_for": "8xh100"})
    assert (planned["device"], planned["processes"], planned["nodes"]) == ("cuda", 8, 1)
    assert pick_device(planned) == "cuda"
    assert on_accelerators({**here, "plan_for": "h100"})["processes"] == 4
