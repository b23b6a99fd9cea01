"""reward=judge on the command line: the micro world's responses, compared by a server, a plan, and the key."""

import re
import uuid
from pathlib import Path

import pytest

from apm_exp.core.files import read_jsonl
from tests.command import folders, small_run
from tests.data.endpoint.server import Body, Server, serving

KEY = uuid.uuid4().hex


def longer(body: Body) -> str:
    parts = re.findall(r"<response_[ab]>\n(.*?)\n</response_[ab]>", body["messages"][0]["content"], re.DOTALL)
    a, b = map(len, parts)
    return f"<think>[[A]]?</think>So: [[{'A' if a > b else 'B' if b > a else 'tie'}]]"


def typed(server: Server, *more: str) -> list[str]:
    endpoint = {"url": server.url, "model": "m", "key_variable": "MY_TEST_KEY", "backoff": "0.01", "max_cost": "1"}
    prices = {"input_price": "1", "output_price": "2"}
    asked = [f"reward.endpoint.{name}={value}" for name, value in (endpoint | prices).items()]
    world = ("model.steps=10", "dataset.prompts=20", "generate.samples=2", "until=selection")
    return ["reward=judge", "reward.form=pairwise", "reward.allow_inverted=true", *asked, *world, *more]


def test_the_micro_worlds_responses_are_compared_and_a_plan_says_what_that_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TEST_KEY", KEY)
    with serving(longer) as server:
        plan = small_run(tmp_path, "task=plan", *typed(server))
        assert plan.returncode == 0, plan.stderr
        assert re.search(
            r"^rewards\S*: at most 80 requests to m at http://127\S+: at most 81,920 output tokens",
            plan.stdout,
            re.M,
        ), plan.stdout
        assert server.count == 0
        done = small_run(tmp_path, *typed(server))
        assert done.returncode == 0, done.stderr
        assert server.keys == {f"Bearer {KEY}"}
        cost = (server.billed[0] + 2 * server.billed[1]) / 1e6
        assert f"input_tokens {server.billed[0]:,}, output_tokens {server.billed[1]:,}, cost {cost:,}" in done.stderr
    (judged,) = [folder for folder in folders(tmp_path, "rewards") if (folder / "judgements.jsonl").exists()]
    lines = read_jsonl(judged / "judgements.jsonl")
    assert {line["outcome"] for line in lines} == {"verdict"}
    assert sum(line["input_tokens"] for line in lines) == server.billed[0]
    assert not (judged / "scored").exists()
    files = [file for file in (tmp_path / "outputs").rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
