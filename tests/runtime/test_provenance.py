"""Where a result comes from is known also where an optional package is not installed."""

import pytest

from apm_exp.runtime import provenance


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("numpy", "a-package-nobody-has"))
    provenance.versions.cache_clear()
    versions = provenance.versions()
    provenance.versions.cache_clear()
    assert versions["numpy"]
    assert versions["a-package-nobody-has"] is None


SECRETS = (
    "+password: hunter2",
    "-  api_key = 'abc'",
    '+ "DB_PASSWORD": "x",',
    "+see hf_AbCdEfGhIjKlMnOpQrStUvWx",
    "+export HF_TOKEN=abc",
)
CODE = ("+max_tokens: 3", " def tokens(text):", "+tokens = 5", "diff --git a/x b/x", "+++ b/x", "@@ -1 +1 @@", "")


def test_a_diff_is_written_without_what_looks_like_a_secret() -> None:
    diff = "\n".join([*CODE, *SECRETS, "+last"]).encode() + b"\xff\n"
    said = provenance.uncommitted(diff)
    assert said["uncommitted_diff"].splitlines() == [*CODE, "+last\ufffd"]
    assert said["uncommitted_diff_left_out"] == "5 lines that look like secrets"


def test_a_diff_of_more_than_a_megabyte_is_not_written() -> None:
    most = b"x" * 1_000_000
    assert provenance.uncommitted(most) == {"uncommitted_diff": most.decode()}
    too_much = {"uncommitted_diff": None, "uncommitted_diff_left_out": "larger than 1,000,000 bytes"}
    assert provenance.uncommitted(most + b"x") == too_much
    assert provenance.uncommitted(None) == {"uncommitted_diff": None}
    assert provenance.uncommitted(b"") == {"uncommitted_diff": ""}


@pytest.mark.skipif(provenance._git("rev-parse", "HEAD") is None, reason="no checkout")
def test_no_more_is_read_of_what_git_says_than_is_needed() -> None:
    assert provenance._git("rev-parse", "HEAD", most=7) == (provenance._git("rev-parse", "HEAD") or b"")[:8]
    assert provenance._git("no-such-command") is None
