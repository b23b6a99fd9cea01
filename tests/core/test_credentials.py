"""What is taken for a credential, and what is not."""

import pytest

from apm_exp.core.credentials import looks_secret, refuse_secrets_of_environment

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "value",
    [
        "hf_" + "aB3dEfGh" * 4,
        "data/hf_AbCdEfGhIjKlMnOpQrStUvWx/x",
        "github_pat_11ABCDEFG0aaaaaaaaaaaa_bbbbbbbbbbbbbbb",
        "ghp_0123456789abcdef0123",
        "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket/a.jsonl",
        "AKIAIOSFODNN7EXAMPLE",
        "https://me:passw0rd@host/a",
        "https://:passw0rd@host/a",
        "sk-proj-0123456789abcdefgh",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_values_of_credentials(value: str) -> None:
    assert looks_secret("dataset.path", value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset.path", "hf_ultrafeedback.jsonl"),
        ("dataset.path", "hf_ultrafeedbackbinarizedpreferences.jsonl"),
        ("model.path", "models/hf_checkpoint_v2"),
        ("model.path", "HF_MODEL"),
        ("model.revision", COMMIT),
        ("dataset.path", "https://host:8080/a@b"),
        ("dataset.path", "s3://bucket/key=1/a.jsonl"),
        ("model.path", "me@host"),
        ("generate.max_new_tokens", 24),
    ],
)
def test_names_that_are_none(key: str, value: object) -> None:
    assert not looks_secret(key, value)


@pytest.mark.parametrize("key", ["tracking.api_key", "a.secret_access_key", "hub_token", "private_key"])
def test_settings_that_hold_credentials(key: str) -> None:
    assert looks_secret(key, "x")


@pytest.mark.parametrize(
    ("name", "value"), [("MY_KEY", "abc"), ("BASELINE", COMMIT), ("X", "https://me:pw@host"), ("HF_TOKEN", "abc")]
)
def test_what_the_environment_brings_in_is_not_written(name: str, value: str) -> None:
    typed = {"seed": 0, "a": {"baseline": f"${{oc.env:{name}}}"}}
    with pytest.raises(ValueError, match=rf"^a.baseline=...: the value of \$\{{oc.env:{name}\}} looks like") as caught:
        refuse_secrets_of_environment(typed, {"seed": 0, "a": {"baseline": value}})
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["/data/run1/pairs.jsonl", "2", 4, "uniform", ""])
def test_ordinary_values_of_the_environment_pass(value: object) -> None:
    refuse_secrets_of_environment({"x": "${oc.env:WHERE,2}"}, {"x": value})
