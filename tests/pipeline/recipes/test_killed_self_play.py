"""kill -9 at random moments of two iterations of self-play, and the same command: the same end, no response twice."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from apm_exp.core.results_file import count_results
from tests.command import command, environment
from tests.pipeline.recipes.test_self_play_run import SMALL
from tests.pipeline.recipes.test_two_parts_run import digests

LINE = ["pipeline=evolve_then_select", "iterations=2", *SMALL[1:], "dataset.prompts=120"]
TIMES = 20


def started(root: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            command(*LINE), cwd=root, env=environment(), start_new_session=True, stderr=file, stdout=subprocess.DEVNULL
        )


def journals(root: Path) -> dict[str, int]:
    """The responses that unfinished steps have recorded, by the folder's name."""
    folders = [path for path in (root / "outputs/generations").glob("*") if not (path / "done").exists()]
    counts = {folder.name: count_results(folder / "sampled") for folder in folders}
    return {name: count for name, count in counts.items() if count}


def said_before(log: Path) -> list[int]:
    """How many responses the command found, of each step of which it found some."""
    return [int(number) for number in re.findall(r"^(\d+) of \d+ responses were sampled before", log.read_text(), re.M)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random_moments_it_ends_alike_and_samples_nothing_twice(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        root.mkdir()
    begun = time.monotonic()
    assert started(whole, tmp_path / "whole.txt").wait() == 0, (tmp_path / "whole.txt").read_text()
    usual, moments = time.monotonic() - begun, random.Random(0)
    kills = 0
    for number in range(TIMES):
        recorded, log = journals(killed), tmp_path / f"{number}.txt"
        process = started(killed, log)
        try:
            process.wait(moments.uniform(0, usual / 3))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        if found := said_before(log):  # the command came to the step that was unfinished
            assert found[0] >= sum(recorded.values())
    assert kills >= 3
    log = tmp_path / "last.txt"
    assert started(killed, log).wait() == 0, log.read_text()
    assert digests(killed) == digests(whole)
