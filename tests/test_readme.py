"""The README and the docs promise only commands that exist."""

import re
import shlex
from pathlib import Path

import pytest

from tests.command import apm_exp
from tests.test_configs import compose

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").glob("*.md") if p.stem != "extending")]


def commands() -> list[str]:
    """Every `python -m apm_exp ...` line of the pages, once; `...` at the end stands for more of the user's own."""
    found: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text()
        lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
        for line in [*re.findall(r"`(python -m apm_exp[^`]*)`", text), *lines]:
            match = re.search(r"python -m apm_exp( .*)?$", line)
            if match and "..." not in match[0]:
                found[match[0]] = None
    return list(found)


def test_the_readme_has_the_two_commands_of_a_newcomer() -> None:
    text = (ROOT / "README.md").read_text()
    assert "pip install -e . && python -m apm_exp\n" in text
    assert "pip install -e '.[test]' && python -m pytest\n" in text
    assert len(text.splitlines()) <= 200


@pytest.mark.parametrize("command", commands())
def test_every_command_composes(command: str, tmp_path: Path) -> None:
    arguments = shlex.split(command)[3:]
    if "--help" in arguments:
        assert apm_exp(tmp_path, *arguments).returncode == 0
    else:
        overrides = [a for a in arguments if a not in ("-m", "--multirun")]
        compose(*[re.sub(r"=([^,\[]+),.*", r"=\1", override) for override in overrides])
