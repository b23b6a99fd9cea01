"""`--version` is that of apm_exp, not Hydra's."""

from importlib.metadata import version
from pathlib import Path

import apm_exp as package
from tests.command import apm_exp


def test_the_version_is_ours_with_those_of_the_libraries(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "alpha=1", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"apm_exp {package.__version__} (Python 3.")
    for name in ("torch", "transformers", "trl"):
        assert f", {name} {version(name)}" in result.stdout
    assert list(tmp_path.iterdir()) == []
