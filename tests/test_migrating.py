"""docs/migrating.md says what the command line says."""

import re
import shlex
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from apm_exp.cli.arguments import UsageLine, prepare
from apm_exp.jobs.checks.settings import check_config
from tests.test_configs import compose

TEXT = (Path(__file__).parents[1] / "docs" / "migrating.md").read_text(encoding="utf-8")
ROWS = [
    (flags, right)
    for left, right in re.findall(r"^\| (`--.*) \| `(.*)` \|$", TEXT, re.MULTILINE)
    for flags in re.findall(r"`(--[^`]*)`", left)
]


def test_there_are_rows() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize(("flags", "settings"), ROWS)
def test_a_flag_is_answered_with_the_settings_of_its_row(flags: str, settings: str) -> None:
    with pytest.raises(UsageLine) as caught:
        prepare(shlex.split(flags))
    assert str(caught.value).partition("; write ")[2].partition(";")[0] == settings


def test_the_pasted_command_is_answered_as_the_page_says() -> None:
    command, line = re.findall(r"^    \$ apm-exp (.*)\n((?:    .*\n)+)", TEXT, re.MULTILINE)[0]
    with pytest.raises(UsageLine) as caught:
        prepare(shlex.split(command))
    told = " ".join(line.split())
    assert str(caught.value).endswith(told.partition("; ")[2])


def test_flags_that_need_nothing_are_said_to_need_nothing() -> None:
    for flag in ("--resume_from_checkpoint", "--precompute_ref_log_probs", "--padding_free", "--disable_dropout"):
        assert flag in TEXT
        with pytest.raises(UsageLine, match=r"leave it out|type the same command again"):
            prepare([flag])


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return compose("adapter=lora")


BOUNDS = [
    (name, int(bound.replace(",", "")))
    for names, bound in re.findall(r"^\| (`[a-z]\S*`.*?) \| ([\d,]+) \|", TEXT, re.MULTILINE)
    for name in re.findall(r"`([^`]*)`", names)
]


def test_each_bound_is_as_the_page_says(config: dict[str, Any]) -> None:
    assert len(BOUNDS) == 11
    for name, bound in BOUNDS:
        for value in (bound, bound + 1):
            *groups, key = name.replace("model.adapter", "adapter").split(".")
            changed = deepcopy(config)
            node = changed[groups[0]] if groups else changed
            node[key] = value
            if value == bound:
                check_config(changed)
                continue
            with pytest.raises(ValueError, match=rf"^{name}={value}: input should be less than or equal to {bound}"):
                check_config(changed)
