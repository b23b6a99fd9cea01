"""Responses of an endpoint as a step: what is asked, what is kept, and what a killed attempt costs."""

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core.files import read_jsonl
from apm_exp.data.generate.openai_sampler import bill, request_seed
from apm_exp.data.sources.rows import SourceRow
from tests.data.endpoint.server import Body, Handler, Server, serving
from tests.pipeline.stages.generated import responded

PROMPTS = {"_target_": f"{__name__}.prompts", "count": 12}


def prompts(*, count: int):
    for line in range(count):
        yield SourceRow(f"f:{line}", {"prompt": f"prompt number {line}"}, None)


def node(server: Server, **changes):
    own = {name: changes.pop(name) for name in list(changes) if name in ("samples", "more", "send_seed", "limit_name")}
    asked = {"url": server.url, "model": "m", "concurrency": 4, "attempts": 3, "backoff": 0.01} | changes
    sampling = {"samples": 3, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 20, "seed": 5}
    others = {"send_seed": True, "limit_name": "max_tokens", "more": {}}
    target = "apm_exp.data.generate.openai_sampler.sample_responses"
    endpoint = {"_target_": "apm_exp.data.endpoint.endpoint.endpoint", **asked}
    return {"_target_": target, **sampling, **others, **own, "endpoint": endpoint}


@pytest.fixture(autouse=True)
def _trust_the_tests(monkeypatch):
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})


def test_each_prompt_and_number_is_a_request_with_every_sampling_value_and_a_seed_of_its_own(tmp_path):
    with serving() as server:
        made = responded(tmp_path, PROMPTS, None, node(server, more={"top_k": 40}))
    assert len(server.bodies) == 36
    first = next(body for body in server.bodies if body["messages"][0]["content"] == "prompt number 0")
    assert {name: value for name, value in first.items() if name not in ("messages", "seed")} == {
        **{"model": "m", "temperature": 0.7, "top_p": 0.9, "n": 1, "max_tokens": 20, "top_k": 40}
    }
    assert len({body["seed"] for body in server.bodies}) == 36
    assert all(0 <= body["seed"] < 2**31 for body in server.bodies)
    rows = pq.read_table(made.path / "generations.parquet").to_pylist()
    for line, row in enumerate(rows):
        prompt = [{"role": "user", "content": f"prompt number {line}"}]
        bodies = [{"seed": request_seed(5, prompt, number)} for number in range(3)]
        assert row["responses"] == [server.text(body) for body in bodies]
        assert (row["response_ids"], row["logps"], row["sampler"]) == (None, None, None)
    assert made.counts == {
        **{"prompts": 12, "responses": 36, "cut_off": 0, "refused": 0},
        **{"input_tokens": server.billed[0], "output_tokens": server.billed[1]},
    }
    assert sorted(path.name for path in made.path.iterdir()) == ["asked.json", "generations.parquet", "refused.jsonl"]


def test_a_server_may_be_sent_no_seed_and_another_name_of_the_limit(tmp_path):
    with serving(text=lambda body: "x y") as server:
        responded(tmp_path, PROMPTS, None, node(server, send_seed=False, limit_name="max_completion_tokens"))
    assert not any("seed" in body or "max_tokens" in body for body in server.bodies)
    assert {body["max_completion_tokens"] for body in server.bodies} == {20}


def test_the_cost_is_counted_and_recorded_with_the_model_that_the_server_says_it_is(tmp_path):
    with serving() as server:
        made = responded(tmp_path, PROMPTS, None, node(server, input_price=1.0, output_price=4.0, max_cost=1.0))
    cost = (server.billed[0] * 1.0 + server.billed[1] * 4.0) / 1e6
    assert made.counts["cost"] == cost
    asked = json.loads((made.path / "asked.json").read_text())
    assert asked == {
        **{"url": server.url, "model": "m", "model_of_the_server": ["m-1"], "prices": [1.0, 4.0], "unanswered": 0},
        **{"input_tokens": server.billed[0], "output_tokens": server.billed[1], "cost": cost},
    }


def ended_with(reason: str, **message: object):
    def fault(handler: Handler, body: Body) -> None:
        (choice,) = handler.completion(body)["choices"]
        handler.reply(body, choices=[choice | {"finish_reason": reason, "message": choice["message"] | message}])

    return fault


def test_truncated_responses_are_counted_and_kept(tmp_path):
    with serving(faults=lambda _, body: ended_with("length") if body["seed"] % 2 else None) as server:
        made = responded(tmp_path, PROMPTS, None, node(server))
    truncated = sum(body["seed"] % 2 for body in server.bodies)
    assert made.counts["cut_off"] == truncated > 5
    assert made.counts["responses"] == 36


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ended_with("stop", content=""), "empty response"),
        (ended_with("stop", content=None), "empty response"),
        (ended_with("length", content=" "), "empty response"),
        (ended_with("content_filter"), "content filter"),
        (ended_with("stop", content=None, refusal="I cannot help"), "refused by the model"),
        (lambda handler, _: handler.error(400, "context_length_exceeded"), "prompt too long"),
    ],
)
def test_a_prompt_without_a_usable_response_is_refused_and_not_asked_again(tmp_path, fault, reason):
    def faults(_: int, body: Body):
        return fault if body["messages"][0]["content"] == "prompt number 7" else None

    with serving(faults=faults) as server:
        made = responded(tmp_path, PROMPTS, None, node(server, concurrency=1))
    assert made.counts["prompts"] == 11
    assert [(row["source"], row["reason"]) for row in read_jsonl(made.path / "refused.jsonl")] == [("f:7", reason)]
    assert server.count <= 36 - 1


def test_an_attempt_that_an_error_ended_is_resumed_with_what_is_missing(tmp_path):
    def revoked(handler: Handler, _: Body) -> None:
        handler.error(401, "the key was revoked")

    with serving(faults=lambda number, _: revoked if number == 20 else None) as server:
        with pytest.raises(ValueError, match="the key was revoked"):
            responded(tmp_path, PROMPTS, None, node(server))
        made = responded(tmp_path, PROMPTS, None, node(server))
        assert made.counts["responses"] == 36
        assert set(server.replied.values()) == {1}
        assert [made.counts["input_tokens"], made.counts["output_tokens"]] == server.billed


def test_a_ceiling_ends_the_step_and_a_higher_one_resumes_it(tmp_path):
    with serving() as server:
        paid = {"input_price": 0.0, "output_price": 1e6}
        with pytest.raises(ValueError, match=r"^generate\.endpoint\.max_cost=60: reached: .* raise it to resume$"):
            responded(tmp_path, PROMPTS, None, node(server, **paid, max_cost=60.0))
        assert 40 < server.billed[1] <= 60
        made = responded(tmp_path, PROMPTS, None, node(server, **paid, max_cost=600.0))
        assert set(server.replied.values()) == {1}
        assert made.counts["cost"] == server.billed[1]


def test_nothing_that_was_there_is_asked_for_again_after_kill_9(tmp_path):
    """What was in flight then, at most 4 requests, is asked for again and paid again."""

    def slow(handler: Handler, body: Body) -> None:
        time.sleep(0.03)
        handler.reply(body)

    with serving(faults=lambda *_: slow) as server:
        sample = node(server, input_price=1.0, output_price=1.0, max_cost=1.0)
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), json.dumps(sample)])
        while server.count < 18:
            assert process.poll() is None
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        made = responded(tmp_path, PROMPTS, None, sample)
        assert made.counts["responses"] == 36
        again = {content: count for content, count in server.asked.items() if count > 1}
        assert sum(count - 1 for count in again.values()) <= 4
        assert len(server.asked) == 36
    assert json.loads((made.path / "asked.json").read_text())["unanswered"] <= 4
    assert made.counts["cost"] * 1e6 >= sum(server.billed)


CHILD = """
import json, sys
from pathlib import Path
from apm_exp.core import component
from tests.data.generate.test_openai_sampler import PROMPTS
from tests.pipeline.stages.generated import responded
component.trust(["tests"])
responded(Path(sys.argv[1]), PROMPTS, None, json.loads(sys.argv[2]))
"""


def test_more_samples_are_new_requests_with_other_seeds():
    prompt = [{"role": "user", "content": "x"}]
    seeds = [request_seed(0, prompt, number) for number in range(16)]
    assert len(set(seeds)) == 16
    assert abs(seeds[1] - seeds[0]) > 1
    assert request_seed(1, prompt, 0) != seeds[0] != request_seed(0, [*prompt, *prompt], 0)


def test_a_bill_is_of_every_response_at_its_longest():
    endpoint = {"_target_": "apm_exp.data.endpoint.endpoint.endpoint", "url": "https://h/v1", "model": "m"}
    priced = endpoint | {"input_price": 2.0, "output_price": 10.0}
    made = bill({"responses": 300}, (50.0, 7.0, 8.0), max_new_tokens=100, endpoint=priced)
    assert (made.requests, made.input_tokens, made.output_tokens) == (300, 15_000, 30_000)
    assert made.cost == (15_000 * 2 + 30_000 * 10) / 1e6
    assert bill({"responses": 300}, (50.0, 7.0, 8.0), max_new_tokens=100, endpoint=endpoint).cost is None
    assert bill({}, (50.0, 7.0, 8.0), max_new_tokens=100, endpoint=endpoint) is None
