"""A judge behind a real server on this machine: verdicts by rule, so that rewards are computed by hand."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from omegaconf import OmegaConf

from apm_exp.core.files import read_jsonl
from apm_exp.data.endpoint.ledger import CeilingReached
from apm_exp.data.rewards.judge import bill, check, judge, spending, within_rows
from apm_exp.data.rewards.judge_verdicts import Reading, read_verdict
from tests.data.endpoint.server import Server, serving
from tests.data.endpoint.test_asking import often_bad

ENDPOINT = "apm_exp.data.endpoint.endpoint.endpoint"
PROMPTS = {"score": "rate <{response}> to {prompt} {json}", "pairwise": "{prompt}|{response_a}|{response_b}"}
SETTINGS = {
    key: value
    for key, value in OmegaConf.to_container(OmegaConf.load("conf/reward/judge.yaml")).items()
    if key not in ("_target_", "margin", "allow_inverted", "endpoint", "prompts")
}


def asked(text):
    return [{"role": "user", "content": text}]


def table(*rows):
    return pa.Table.from_pylist([{"prompt": asked(prompt), "responses": list(each)} for prompt, *each in rows])


def node(server, **changes):
    own = {"url": server.url, "model": "m", "attempts": 12, "backoff": 0.01, "timeout": 2.0, "concurrency": 4}
    return {"_target_": ENDPOINT, "input_price": 1.0, "output_price": 2.0, "max_cost": 9.0, **own, **changes}


def judged(server: Server, out: Path, rows, endpoint=None, **changed):
    (out / "scored").mkdir(exist_ok=True)
    settings = SETTINGS | {"prompts": PROMPTS, "endpoint": node(server, **(endpoint or {}))} | changed
    return judge(rows, [f"r{i}" for i in range(len(rows))], out / "scored", out, **settings)


def counts_of(server, out):
    return spending(out / "scored", out, endpoint=node(server))


def last(body):
    return body["messages"][-1]["content"]


def scored_by_length(body):
    return f"It has letters. [[1]] or rather [[{len(re.search('<(.*)>', last(body))[1])}]]"


def test_scores_are_those_of_the_last_brackets_and_each_line_says_what_was_asked_and_paid(tmp_path):
    with serving(scored_by_length) as server:
        got = judged(
            server, tmp_path, table(("p", "ab", "abcd"), ("{response}", "{prompt}", "x" * 10)), more={"top_k": 1}
        )
        counts = counts_of(server, tmp_path)
    assert got == [[2.0, 4.0], [8.0, 10.0]]
    texts = {last(body) for body in server.bodies}
    assert {"rate <ab> to p {json}", "rate <{prompt}> to {response} {json}"} <= texts  # other braces stay
    assert {**server.bodies[0], "messages": 0} == {
        **{"messages": 0, "model": "m", "n": 1, "temperature": 0.0, "max_tokens": 1024, "top_k": 1}
    }
    lines = read_jsonl(tmp_path / "judgements.jsonl")
    assert [(line["row"], line["order"], line["verdict"]) for line in lines] == [
        *[("r0", [0], 2.0), ("r0", [1], 4.0), ("r1", [0], 8.0), ("r1", [1], 10.0)]
    ]
    assert {(line["model"], line["try"], line["outcome"]) for line in lines} == {("m-1", 1, "verdict")}
    assert sum(line["cost"] for line in lines) == pytest.approx(counts["cost"], abs=1e-15)
    cost = (server.billed[0] + 2 * server.billed[1]) / 1e6
    assert counts == {
        **{"judgements": 4, "unparsed": 0, "refused": 0, "cost": pytest.approx(cost, abs=1e-15)},
        **{"input_tokens": server.billed[0], "output_tokens": server.billed[1]},
    }


def biased(body):
    """The longer one wins; but A wins if they differ by one letter, and those of a length are tied."""
    _, a, b = last(body).split("|")
    verdict = "tie" if len(a) == len(b) else "A" if len(a) >= len(b) - 1 else "B"
    return f"<think>[[B]] or [[A]]?</think> [[{verdict}]]"


def test_both_orders_by_hand_with_a_judge_that_prefers_the_first_one(tmp_path):
    rows = table(("p", "aaaa", "b", "cc"), ("q", "a", "bbb"), ("q", "a", "bb"), ("q", "a", "b"), ("q", "a", "a"))
    with serving(biased) as server:
        got = judged(server, tmp_path, rows, form="pairwise")
        counts = counts_of(server, tmp_path)
    # aaaa beats both in both orders; b and cc contradict each other; N = 3
    assert got[0] == pytest.approx([2 / 3, -1 / 3, -1 / 3], abs=1e-15)
    assert got[1] == [-0.5, 0.5]  # a margin of 1
    assert got[2:] == [[0.0, 0.0]] * 3
    assert server.count == 6 + 3 * 2  # equal responses are tied and not asked about
    assert (counts["judgements"], counts["contradictory"]) == (12, 2)
    orders = [line["order"] for line in read_jsonl(tmp_path / "judgements.jsonl") if line["row"] == "r0"]
    assert sorted(orders) == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]


def test_one_order_won_and_the_other_tied_is_half_a_win(tmp_path):
    with serving(lambda body: "[[A]]" if last(body) == "p|a|b" else "[[C]]") as server:
        assert judged(server, tmp_path, table(("p", "a", "b")), form="pairwise") == [[0.25, -0.25]]


def test_what_has_no_verdict_is_asked_again_once_and_then_counted(tmp_path, caplog):
    def text(body):
        if len(body["messages"]) == 3:
            assert body["messages"][1]["content"] == "good, [[eleven]]"
            return "[[3]]" if "<b>" in body["messages"][0]["content"] else "[[11]]"
        return "good, [[eleven]]" if "<good>" not in last(body) else "[[9]]"

    with serving(text) as server:
        got = judged(server, tmp_path, table(("p", "good", "b"), ("p", "good", "c"), ("q", "good", "good")))
        counts = counts_of(server, tmp_path)
    assert got == [[9.0, 3.0], None, [9.0, 9.0]]
    assert server.count == len(server.replied) == 3 + 1 + 2  # equal questions are asked once
    assert (counts["judgements"], counts["unparsed"], counts["refused"]) == (6, 1, 0)
    lines = [line for line in read_jsonl(tmp_path / "judgements.jsonl") if line["order"] == [1] and line["row"] != "r2"]
    assert [(line["row"], line["try"], line["outcome"], line["verdict"]) for line in lines] == [
        ("r0", 1, "unparsed", None),
        ("r0", 2, "verdict", 3.0),
        ("r1", 1, "unparsed", None),
        ("r1", 2, "unparsed", None),
    ]
    paid = sum(line["cost"] for line in read_jsonl(tmp_path / "judgements.jsonl"))
    assert paid == pytest.approx((server.billed[0] + 2 * server.billed[1]) / 1e6, abs=1e-15)
    assert "1 of 6 judgements are missing (1 without a verdict, 0 refused), the first of row r1: no ver" in caplog.text


def test_refusals_are_a_class_of_their_own_and_are_not_asked_again(tmp_path, caplog):
    def faults(number, body):
        if "<bad>" in last(body):
            return lambda handler, body: handler.error(400, "content management policy", "content_filter")
        if "<odd>" in last(body):
            message = {"role": "assistant", "content": None, "refusal": "I cannot judge this."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return lambda handler, body: handler.reply(body, choices=[choice])
        return None

    with serving(scored_by_length, faults) as server:
        got = judged(server, tmp_path, table(("p", "good", "bad"), ("p", "good", "odd"), ("p", "good", "a")))
        counts = counts_of(server, tmp_path)
    assert got == [None, None, [4.0, 1.0]]
    assert (counts["judgements"], counts["unparsed"], counts["refused"], server.count) == (6, 0, 2, 4)
    assert [line["refused"] for line in read_jsonl(tmp_path / "judgements.jsonl") if line["outcome"] == "refused"] == [
        "content filter: the server says: Error code: 400 - content management policy",
        "I cannot judge this.",
    ]
    assert "0 without a verdict, 2 refused" in caplog.text


def test_a_server_that_fails_a_third_of_its_calls_is_asked_nothing_twice(tmp_path):
    rows = table(*((f"p{i}", "a", "bbb") for i in range(30)))
    with serving(biased, often_bad) as server:
        got = judged(server, tmp_path, rows, form="pairwise")
        counts = counts_of(server, tmp_path)
    assert got == [[-0.5, 0.5]] * 30
    assert len(server.replied) == counts["judgements"] == 60
    assert set(server.replied.values()) == {1}
    assert [counts["input_tokens"], counts["output_tokens"]] == server.reported


def test_an_interrupted_attempt_resumes_and_pays_nothing_twice(tmp_path):
    rows = table(*((f"p{i}", "a", "bbb") for i in range(10)))
    expired = lambda handler, body: handler.error(401, "expired")  # noqa: E731
    with serving(biased, lambda number, _: expired if number == 8 else None) as server:
        with pytest.raises(ValueError, match=r"^reward\.endpoint\.key_variable=null: "):
            judged(server, tmp_path, rows, form="pairwise")
        assert 7 <= len(server.replied) < 15
        assert judged(server, tmp_path, rows, form="pairwise") == [[-0.5, 0.5]] * 10
        before = server.count
        assert judged(server, tmp_path, rows, form="pairwise") == [[-0.5, 0.5]] * 10
        assert server.count == before == 21
        assert (len(server.replied), set(server.replied.values())) == (20, {1})
        assert [counts_of(server, tmp_path)[name] for name in ("input_tokens", "output_tokens")] == server.billed


def test_the_ceiling_ends_the_work_before_it_is_passed(tmp_path):
    with serving(biased) as server, pytest.raises(CeilingReached, match=r"^reward\.endpoint\.max_cost=0\.001: reached"):
        judged(server, tmp_path, table(("p", "a", "bbb")), {"max_cost": 0.001}, form="pairwise")
    assert server.count == 0


def test_a_judge_that_never_gives_a_verdict_is_not_paid_for_all(tmp_path):
    with serving(lambda body: "It is fine.") as server:
        with pytest.raises(
            ValueError, match=r"^reward\.verdict: none of the first 2\d replies has a verdict .*It is fine"
        ):
            judged(server, tmp_path, table(*((f"p{i}", "a", "bbb") for i in range(100))))
        assert server.count < 30
        with pytest.raises(ValueError, match=r"^reward\.endpoint\.model=m: no row has rewards: 2 of 2 judgements are"):
            judged(server, tmp_path, table(("few", "aaaa", "bbb")))


def test_rows_that_are_no_text_or_cannot_be_compared(tmp_path, caplog):
    extras = {"response_extras": [None, '{"tool_calls": []}']}
    rows = [{"prompt": asked("p"), "responses": ["a", "bbb"]}, {"prompt": asked("p"), "responses": ["a", "b"]} | extras]
    rows = pa.Table.from_pylist([rows[1], rows[0], {"prompt": asked("p"), "responses": ["a"]}])
    with serving(biased) as server:
        assert judged(server, tmp_path, rows, form="pairwise") == [None, [-0.5, 0.5], None]
        with pytest.raises(ValueError, match=r"^reward\.form=pairwise: .* 1 of 1 rows.*one response alone"):
            judged(server, tmp_path, rows.slice(2), form="pairwise")
    assert "the judge gives no rewards to 2 of 3 rows, the first: prompt starting 'p': tools and" in caplog.text


@pytest.mark.parametrize(
    ("reply", "score", "winner"),
    [
        ("[[7]]", 7.0, None),
        ("[[ 7.5 ]] ", 7.5, None),
        ("[[3]] [[A]]", None, 1.0),
        ("[[A]] [[b]]", None, -1.0),
        ("[[Tie]]", None, 0.0),
        ("[[0]] [[11]]", None, None),
        ("[[nan]]", None, None),
        ("A", None, None),
        ("", None, None),
        ("[[1]] or [[B]]</think>\n[[tie]]", None, 0.0),
        ("<think>[[A]] [[5]]", None, None),  # truncated in its thoughts
        ("<think>a</think><think>[[2]]\n</think>[[4]]", 4.0, None),
    ],
)
def test_verdicts(reply, score, winner):
    reading = [Reading(form, SETTINGS["verdict"], SETTINGS["thoughts"], 1.0, 10.0) for form in ("score", "pairwise")]
    assert [read_verdict(reply, each) for each in reading] == [score, winner]


def test_a_pattern_of_the_users_own():
    assert read_verdict("Score: 3\nScore: 5", Reading("score", r"Score: (\d)|None", None, 1.0, 5.0)) == 5.0
    assert read_verdict("Score: 3\nNone", Reading("score", r"Score: (\d)|None", None, 1.0, 5.0)) is None
    assert read_verdict("so B", Reading("pairwise", "[AB]$", None, 1.0, 5.0)) == -1.0


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"prompts": {"score": "rate {response}"}}, "reward.prompts.score: lacks {prompt}, "),
        ({"form": "pairwise", "prompts": {"score": ""}}, "reward.prompts.pairwise: lacks {prompt}, "),
        ({"verdict": "(x"}, "reward.verdict=(x: no regular expression ("),
        ({"lowest": 10.0}, "reward.lowest=10: not below reward.highest=10; "),
        ({"endpoint": {"_target_": ENDPOINT, "url": "x", "model": "m"}}, "reward.endpoint.url=x: not an http(s) addr"),
    ],
)
def test_settings_that_cannot_work(changed, problem):
    names = ("form", "verdict", "thoughts", "lowest", "highest")
    settings = {name: SETTINGS[name] for name in names} | {"prompts": PROMPTS}
    settings["endpoint"] = {"_target_": ENDPOINT, "url": "http://127.0.0.1:1/v1", "model": "m"}
    assert check(**settings) is None
    with pytest.raises(ValueError, match=re.escape(problem)) as error:
        check(**settings | changed)
    assert "\n" not in str(error.value)


def test_the_bill_and_what_may_judge_an_evaluation():
    endpoint = {"_target_": ENDPOINT, "url": "http://127.0.0.1:1/v1", "model": "m"}
    known = {"prompts": {"score": "x" * 40, "pairwise": "x" * 80}, "max_new_tokens": 7, "endpoint": endpoint}
    scores = bill({"pairs": 10}, (5, 3, 4), form="score", **known)
    assert (scores.requests, scores.input_tokens, scores.output_tokens) == (40, 20 * (10 + 5 + 3.5), 280)
    pairs = bill({"prompts": 10, "responses": 30}, (5, 3, 4), form="pairwise", **known)
    assert (pairs.requests, pairs.input_tokens, pairs.output_tokens) == (120, 60 * (20 + 5 + 7), 840)
    assert bill({}, (5, 3, 4), form="score", **known) is None
    assert (within_rows(form="score"), within_rows(form="pairwise")) == (False, True)
