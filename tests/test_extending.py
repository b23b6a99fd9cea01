"""What docs/extending.md says is what works: its metric, as a package of the user's own."""

import os
import re
import subprocess
from pathlib import Path

from tests.command import command, environment

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"


def block(language: str) -> str:
    """The first code block of the page in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def test_the_metric_of_the_page_runs_from_the_users_own_package(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "agreement.py").write_text(block("python"))
    (tmp_path / "my_conf" / "metric").mkdir(parents=True)
    (tmp_path / "my_conf" / "metric" / "agreement.yaml").write_text(block("yaml"))
    options = ["--config-dir", "my_conf", "metric=agreement", "metric.weight=0.5", "task=plan"]

    def plan(*more: str) -> subprocess.CompletedProcess[str]:
        here = environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
        arguments = command(*options, *more)
        return subprocess.run(arguments, cwd=tmp_path, env=here, capture_output=True, text=True, timeout=120)

    refused = plan()
    assert refused.returncode == 2
    assert "trusted_packages" in refused.stderr
    trusted = plan("trusted_packages=[mine]")
    assert trusted.returncode == 0, trusted.stderr
    assert "agreement" in trusted.stdout
