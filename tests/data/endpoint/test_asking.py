"""An endpoint is asked over HTTP: a real server on this machine that fails, stalls, limits, and sends half a reply."""

import logging
import time
from dataclasses import replace

import pytest

from apm_exp.core.types import Refusal
from apm_exp.data.endpoint.ask import Asking
from apm_exp.data.endpoint.endpoint import Endpoint, endpoint
from apm_exp.data.endpoint.ledger import CeilingReached, read_totals, spent
from apm_exp.data.endpoint.request import Request
from tests.data.endpoint.server import Body, Handler, Server, serving

MOST = 8  # tokens of a reply


def settings(server: Server, **changes: object) -> Endpoint:
    given = {"url": server.url, "model": "m", "backoff": 0.01, "attempts": 6, "timeout": 5.0, "concurrency": 8}
    return replace(endpoint(**(given | changes)), place="generate.endpoint")  # type: ignore[arg-type]


def requests(count: int, group: bool = False) -> list[Request]:
    return [
        Request(
            number,
            {"messages": [{"role": "user", "content": f"say {number}"}], "seed": number, "max_tokens": MOST, "n": 1},
            number // 4 if group else None,
        )
        for number in range(count)
    ]


def asked(server, folder, count, **changes):
    asking = Asking(settings(server, **changes), folder)
    return dict(asking.all(requests(count)))


def collect(replies, into):
    for each in replies:
        into.append(each)


# What the server does instead of replying. `lost`: charged, and no usage arrives.


def broken(handler: Handler, body: Body) -> None:
    handler.error(500, "an internal error")


def limited(handler: Handler, body: Body) -> None:
    handler.error(429, "slow down", Retry_After="0.05")


def half(handler: Handler, body: Body) -> None:
    handler.server.lost += 1
    handler.send(200, handler.completion(body), whole=False)


def stalled(handler: Handler, body: Body) -> None:
    handler.server.lost += 1
    handler.completion(body)
    time.sleep(3)
    handler.close_connection = True


def hung_up(handler: Handler, body: Body) -> None:
    handler.server.lost += 1
    handler.completion(body)
    handler.close_connection = True


def no_json(handler: Handler, body: Body) -> None:
    handler.server.lost += 1
    handler.completion(body)
    handler.send(200, "be patient", content_type="text/html")


def none(handler: Handler, body: Body) -> None:
    handler.send(200, handler.completion(body) | {"choices": []})


def aborted(handler: Handler, body: Body) -> None:
    reply = handler.completion(body)
    handler.send(200, reply | {"choices": [reply["choices"][0] | {"finish_reason": "abort"}]})


FAULTS = [broken, limited, half, none, no_json, hung_up, aborted]


def often_bad(number: int, _: Body):
    """What goes wrong with the nth request: with every third something, and two of them stall."""
    return stalled if number in (10, 40) else FAULTS[number // 3 % len(FAULTS)] if number % 3 == 0 else None


def test_every_request_has_its_reply_once_from_a_server_that_fails_a_third_of_them(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "apm_exp")
    prices = {"input_price": 1.0, "output_price": 3.0}
    with serving(faults=often_bad) as server:
        replies = asked(server, tmp_path, 90, timeout=2.0, attempts=12, **prices)
        each = settings(server, **prices)
    assert {number: reply.text for number, reply in replies.items()} == {
        number: " ".join([f"w{number}"] * (1 + number % 7)) for number in range(90)
    }
    assert len(server.replied) == 90
    assert set(server.replied.values()) == {1}  # no request was sent again after a good reply
    totals = read_totals(tmp_path)
    assert [totals.input_tokens, totals.output_tokens] == server.reported
    assert totals.unanswered == server.lost > 10
    assert spent(totals, each) >= each.cost(*server.billed)  # replies that were lost count with their most
    (warning,) = caplog.messages
    for cause in ("HTTP 500", "HTTP 429", "a reply without choices", "broke off", "RemoteProtocolError", "ReadTimeout"):
        assert cause in warning


def test_the_cost_of_a_good_server_is_exact(tmp_path):
    with serving() as server:
        asked(server, tmp_path, 30)
    totals = read_totals(tmp_path)
    assert [totals.input_tokens, totals.output_tokens] == server.billed == [60, sum(1 + n % 7 for n in range(30))]
    prices = settings(server, input_price=0.5, output_price=2.0)
    assert spent(totals, prices) == (60 * 0.5 + sum(1 + n % 7 for n in range(30)) * 2.0) / 1e6
    assert (totals.replies, totals.unanswered, totals.models) == (30, 0, {"m-1"})


def test_the_first_of_several_choices_is_used_and_all_of_them_are_paid(tmp_path, caplog):
    def two(handler: Handler, body: Body) -> None:
        reply = handler.completion(body)
        usage = reply["usage"] | {"completion_tokens": 2 * reply["usage"]["completion_tokens"]}
        handler.reply(body, choices=reply["choices"] * 2, usage=usage)

    with serving(faults=lambda *_: two) as server:
        replies = asked(server, tmp_path, 3)
    assert [replies[number].text for number in range(3)] == ["w0", "w1 w1", "w2 w2 w2"]
    assert read_totals(tmp_path).output_tokens == server.reported[1] == 12
    assert "3 x several choices" in caplog.text


def test_a_text_in_parts_is_one_text_without_the_thoughts(tmp_path):
    def parts(handler: Handler, body: Body) -> None:
        (choice,) = handler.completion(body)["choices"]
        content = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        handler.reply(body, choices=[choice | {"message": {"role": "assistant", "content": content}}])

    with serving(faults=lambda *_: parts) as server:
        assert asked(server, tmp_path, 1)[0].text == "ab"


def test_a_server_that_says_when_to_come_back_is_not_asked_before(tmp_path):
    times = []

    def later(handler: Handler, body: Body) -> None:
        times.append(time.monotonic())
        handler.error(429, "slow down", Retry_After="0.3")

    def faults(number: int, _: Body):
        if number > 1:
            times.append(time.monotonic())
        return later if number == 1 else None

    with serving(faults=faults) as server:
        assert len(asked(server, tmp_path, 2, concurrency=1, attempts=1)) == 2  # and it is no attempt
    assert times[1] - times[0] >= 0.3


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (
            lambda handler, _: handler.error(401, "Incorrect API key"),
            "generate.endpoint.key_variable=null: the server refuses the key (HTTP 401",
        ),
        (
            lambda handler, _: handler.error(404, "The model `m` does not exist", "model_not_found"),
            "generate.endpoint.model=m: not known to the server (HTTP 404: ",
        ),
        (
            lambda handler, _: handler.error(429, "You exceeded your quota", "insufficient_quota"),
            "the account has no credit left",
        ),
        (lambda handler, _: handler.error(429, "tomorrow", Retry_After="36000"), "the server asks to wait 10.0 h"),
        (broken, "no usable reply after 2 attempts (HTTP 500"),
        (
            lambda handler, _: handler.send(200, {"error": {"message": "the provider is overloaded", "code": 502}}),
            "no usable reply after 2 attempts (a reply without choices: the provider is overloaded)",
        ),
        (lambda handler, body: handler.reply(body, usage=None), "the server reports no token usage"),
    ],
)
def test_what_another_attempt_cannot_mend_is_one_line_at_once(tmp_path, fault, problem):
    with serving(faults=lambda *_: fault) as server:
        with pytest.raises(ValueError, match=r"^generate\.endpoint") as error:
            asked(server, tmp_path, 20, attempts=2, concurrency=2)
        assert problem in str(error.value)
        assert "\n" not in str(error.value)
        assert server.count <= 4


def test_an_endpoint_that_is_down_is_one_line_and_is_not_charged(tmp_path):
    with serving() as server:
        pass
    prices = {"input_price": 1e6, "output_price": 1e6, "max_cost": 100.0}
    with pytest.raises(
        ValueError, match=r"generate\.endpoint\.url=http://127.*: no usable reply after 2 attempts \(Conn"
    ):
        asked(server, tmp_path, 5, attempts=2, **prices)
    assert read_totals(tmp_path).unanswered == 0


def test_the_replies_in_flight_are_not_lost_if_another_request_ends_the_work(tmp_path):
    def wait(handler: Handler, body: Body) -> None:
        time.sleep(0.3)
        handler.reply(body)

    def refuse(handler: Handler, _: Body) -> None:
        time.sleep(0.1)
        handler.error(401, "the key was revoked")

    with serving(faults=lambda number, _: refuse if number == 4 else wait) as server:
        asking, replies = Asking(settings(server, concurrency=4), tmp_path), []
        with pytest.raises(ValueError, match="the key was revoked"):
            collect(asking.all(requests(20)), replies)
    assert (server.count, sum(server.replied.values()), len(replies)) == (4, 3, 3)


def test_the_ceiling_is_never_exceeded_and_the_replies_until_then_are_kept(tmp_path):
    """100 output tokens are paid for; a reply has at most 8, so that 92 to 100 are spent."""
    money = {"input_price": 0.0, "output_price": 1e6, "max_cost": 100.0}
    with serving() as server:
        asking, replies = Asking(settings(server, **money), tmp_path), []
        with pytest.raises(
            CeilingReached, match=r"^generate.endpoint.max_cost=100: reached: \d+ spent on \d+ replies, and"
        ):
            collect(asking.all(requests(90)), replies)
        assert 92 < server.billed[1] <= 100
        assert sum(server.replied.values()) == len(replies)
        with pytest.raises(CeilingReached):  # what an earlier attempt spent counts
            asked(server, tmp_path, 90, **money)
        assert server.billed[1] <= 100


def test_requests_that_the_server_cannot_take_are_refused_one_by_one(tmp_path):
    faults = {
        2: lambda handler, _: handler.error(400, "maximum context length is 4096 tokens", "context_length_exceeded"),
        5: lambda handler, _: handler.error(400, "The response was filtered", "content_filter"),
        7: lambda handler, _: handler.error(422, "a lone surrogate"),
    }
    with serving(faults=lambda _, body: faults.get(body["seed"])) as server:
        replies = asked(server, tmp_path, 10)
        assert {n: reply.reason for n, reply in replies.items() if isinstance(reply, Refusal)} == {
            2: "prompt too long",
            5: "content filter",
            7: "rejected by the server",
        }
        assert server.count == 10


def test_the_other_requests_of_a_refused_group_are_refused_unasked(tmp_path):
    too_long = lambda handler, _: handler.error(413, "too large")  # noqa: E731
    with serving(faults=lambda _, body: too_long if body["seed"] in (4, 5, 6, 7) else None) as server:
        asking = Asking(settings(server, concurrency=1), tmp_path)
        replies = dict(asking.all(requests(12, group=True)))
    assert [n for n, reply in replies.items() if isinstance(reply, Refusal)] == [4, 5, 6, 7]
    assert server.count == 9


def test_settings_that_no_request_is_accepted_with_end_the_work(tmp_path):
    with serving(faults=lambda *_: lambda handler, _: handler.error(400, "temperature is not supported")) as server:
        with pytest.raises(ValueError, match=r"no request is accepted: HTTP 400: .*temperature is not supported"):
            asked(server, tmp_path, 90)
        assert server.count < 30


def test_no_more_requests_are_in_flight_than_asked_for(tmp_path):
    with serving(faults=lambda *_: lambda handler, body: (time.sleep(0.02), handler.reply(body))) as server:
        asked(server, tmp_path, 30, concurrency=5)
        assert server.most_at_once == 5


def test_the_key_is_read_from_its_variable_and_sent_and_is_in_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "a-very-secret-key")
    with serving() as server:
        asked(server, tmp_path, 2, key_variable="MY_KEY")
        assert server.keys == {"Bearer a-very-secret-key"}
    assert "a-very-secret-key" not in "".join(file.read_text() for file in tmp_path.iterdir())


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving() as server:
        assert len(asked(server, tmp_path, 2)) == 2


def test_requests_keep_to_the_rate_limit(tmp_path):
    with serving() as server:
        started = time.monotonic()
        asked(server, tmp_path, 4, requests_per_minute=600)
        assert time.monotonic() - started >= 0.3
