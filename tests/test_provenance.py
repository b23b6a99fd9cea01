"""Where a result comes from is known also where an optional package is not installed."""

import pytest

from apm_exp import provenance


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("numpy", "a-package-nobody-has"))
    provenance.versions.cache_clear()
    versions = provenance.versions()
    provenance.versions.cache_clear()
    assert versions["numpy"]
    assert versions["a-package-nobody-has"] is None
