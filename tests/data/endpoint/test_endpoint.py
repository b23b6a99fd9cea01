"""The settings of an endpoint: what is refused before any work."""

import sys
from dataclasses import replace

import pytest

from apm_exp.data.endpoint.checks import check_endpoint, check_ready
from apm_exp.data.endpoint.endpoint import endpoint, key_of
from tests.data.endpoint.server import serving

URL = "https://api.example.com/v1"


def of(**settings):
    return replace(endpoint(**({"url": URL, "model": "m"} | settings)), place="reward.endpoint")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"url": "api.example.com"}, r"url=api\.example\.com: not an http\(s\) address; give one as"),
        (
            {"url": f"{URL}?key=abcdef"},
            r"url=\.\.\.: has a query, a user or a password, and settings are written to files",
        ),
        ({"url": "https://abcdef@api.example.com/v1"}, r"url=\.\.\.: has a query, a user or a password"),
        ({"key_variable": "0a1b2c3d"}, r"key_variable=\.\.\.: not the name of an environment variable; put the key"),
        ({"input_price": 1.0}, r"input_price, reward\.endpoint\.output_price: give both"),
        ({"max_cost": 5.0}, r"max_cost=5: the prices are unknown, so the cost cannot be counted; give reward\."),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, problem):
    with pytest.raises(ValueError, match=rf"^reward\.endpoint\.{problem}") as error:
        check_endpoint(of(**settings))
    assert "abcdef" not in str(error.value)
    assert "0a1b2c3d" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"key_variable": "NO_SUCH_KEY", "input_price": 0.0, "output_price": 0.0},
            r"key_variable=NO_SUCH_KEY: this environment variable is not set; export it",
        ),
        ({}, r"url=https://api\.example\.com/v1: its prices are unknown, and so is what a run would pay; give"),
        (
            {"input_price": 1.0, "output_price": 0.0},
            r"max_cost=null: nothing is paid without a ceiling; give reward\.endpoint\.max_cost=AMOUNT",
        ),
        (
            {"url": "http://127.0.0.1:9/v1"},
            r"url=http://127\.0\.0\.1:9/v1: the server cannot be reached \(Conn.*start it",
        ),
    ],
)
def test_a_run_needs_a_key_a_ceiling_and_a_server(settings, problem):
    with pytest.raises(ValueError, match=rf"^reward\.endpoint\.{problem}"):
        check_ready(of(**settings))


def test_a_server_on_this_machine_needs_no_ceiling_and_is_asked_for_nothing_but_its_models():
    with serving() as server:
        check_ready(of(url=server.url))
        assert server.count == 0


def test_a_key_that_the_server_refuses_is_known_before_any_work(monkeypatch):
    monkeypatch.setenv("MY_KEY", "wrong-and-secret")
    with serving() as server:
        server.models = lambda handler: handler.error(401, "Incorrect API key provided: wrong-and-secret")
        with pytest.raises(
            ValueError, match=r"^reward\.endpoint\.key_variable=MY_KEY: the server refuses the key"
        ) as error:
            check_ready(of(url=server.url, key_variable="MY_KEY"))
    assert "provided: ***" in str(error.value)  # a server that repeats the key


def test_a_model_that_the_server_does_not_list_is_a_warning(caplog):
    with serving() as server:
        check_ready(of(url=server.url))
        assert not caplog.messages
        check_ready(of(url=server.url, model="n"))
    assert caplog.messages == ["reward.endpoint.model=n: not in the server's list of models; choose from: m"]


def test_a_server_without_a_list_of_models_counts_as_reached():
    with serving() as server:
        server.models = lambda handler: handler.error(404, "no such page")
        check_ready(of(url=server.url))


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(
        ValueError, match=r"^endpoint: .*tenacity.*; install them with: pip install -e '\.\[endpoint\]'$"
    ):
        check_ready(of(url="http://127.0.0.1:8000/v1"))


def test_the_key_is_that_of_the_variable(monkeypatch):
    monkeypatch.setenv("A_KEY", " abc\n")
    assert key_of(of(key_variable="A_KEY")) == "abc"
    assert key_of(of()) == "none"
