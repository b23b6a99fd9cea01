"""generate=openai on the command line: the whole micro world, what a plan says, and where the key is not."""

import random
import re
import uuid
from pathlib import Path

import pytest

from tests.command import apm_exp, folders, small, small_run
from tests.data.endpoint.server import Body, Server, serving

KEY = uuid.uuid4().hex  # in no file of this checkout either, as its diff is recorded


def letters(body: Body) -> str:
    draw = random.Random(body["seed"])
    return " ".join(draw.choice("abcdefg") for _ in range(8))


def typed(server: Server, *more: str) -> list[str]:
    named = [
        "generate=openai",
        f"generate.endpoint.url={server.url}",
        "generate.endpoint.model=m",
        "generate.samples=3",
    ]
    return [*named, "generate.endpoint.key_variable=MY_TEST_KEY", "generate.endpoint.backoff=0.01", *more]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TEST_KEY", KEY)


def test_the_micro_world_trains_on_the_responses_of_an_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = ("evals.win_rate.prompts.prompts=4", "model.steps=10")
    prices = (
        *fast,
        "generate.endpoint.input_price=1",
        "generate.endpoint.output_price=2",
        "generate.endpoint.max_cost=1",
    )
    with serving(letters) as server:
        plan = small_run(tmp_path, "task=plan", *typed(server, *prices))
        assert plan.returncode == 0
        assert re.search(
            r"^generations: at most 180 requests to m at http://127\S+: at most 184,320 output tokens and about "
            r"[\d,]+ input tokens, which cost at most 0\.37 and about 0\.00, 0\.37 together; it stops at max_cost=1$",
            plan.stdout,
            re.MULTILINE,
        )
        assert server.count == 0
        done = apm_exp(tmp_path, *small(*typed(server, *prices)))  # with W&B, offline
        assert done.returncode == 0, done.stderr
        assert "Weave" not in done.stderr
        assert server.count == 180
        assert server.keys == {f"Bearer {KEY}"}
        cost = (server.billed[0] + 2 * server.billed[1]) / 1e6
        assert f"input_tokens {server.billed[0]:,}, output_tokens {server.billed[1]:,}, cost {cost:,}" in done.stderr
        files = [file for file in (tmp_path / "outputs").rglob("*") if file.is_file()]
        assert {".yaml", ".json", ".html", ".wandb"} <= {file.suffix for file in files}
        assert not [file for file in files if KEY.encode() in file.read_bytes()]
    # Neither the server nor the key is needed for what is there.
    monkeypatch.delenv("MY_TEST_KEY")
    other = small_run(tmp_path, *typed(server, *prices), "alpha=3", "until=selection")
    assert other.returncode == 0, other.stderr
    assert len(folders(tmp_path, "selection")) == 2


def test_what_cannot_work_is_one_line_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        pass
    cases = {
        (): f"generate.endpoint.url={server.url}: the server cannot be reached (ConnectError",
        ("dataset=jsonl", "dataset.path=x.jsonl"): "model is required: dataset=jsonl has none of its own; set model=",
        ("generate.endpoint.max_cost=1",): "generate.endpoint.max_cost=1: the prices are unknown",
        ("pipeline=offline",): "generate=openai: pipeline=offline samples no responses",
    }
    for more, problem in cases.items():
        refused_with(problem, tmp_path, *typed(server), *more)
    monkeypatch.delenv("MY_TEST_KEY")
    refused_with("generate.endpoint.key_variable=MY_TEST_KEY: this environment var", tmp_path, *typed(server))
    assert not folders(tmp_path, "models")


def refused_with(problem: str, folder: Path, *arguments: str) -> None:
    refused = apm_exp(folder, *arguments, "tracking=none")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert f"error: {problem}" in refused.stderr
