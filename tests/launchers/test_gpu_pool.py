"""GPUs are shared out among jobs: each has its own, or waits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apm_exp.runtime import gpu_pool
from apm_exp.runtime.gpu_pool import gpus_needed, places, taken, visible_gpus


class NoneFree(Exception):
    """Raised where a job would wait."""


def pause() -> None:
    raise NoneFree


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("0,1", ["0", "1"]),
        ("3", ["3"]),
        ("", []),
        ("-1", []),
        ("1, -1, 2", ["1"]),
        ("GPU-a1,GPU-b2", ["GPU-a1", "GPU-b2"]),
    ],
)
def test_what_the_user_makes_visible_is_the_pool(given: str, names: list[str]) -> None:
    assert visible_gpus(given) == names


def test_without_that_the_machines_gpus_are_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_pool, "_count", lambda: 3)
    assert visible_gpus(None) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("runtime", "needed"),
    [
        ({"device": "auto", "processes": 1}, 1),
        ({"device": "cuda", "processes": 4, "nodes": 1}, 4),
        ({"device": "cuda:1", "processes": 1}, 0),
        ({"device": "cpu", "processes": 2}, 0),
        ({"device": "cuda", "processes": 8, "nodes": 2}, 0),
    ],
)
def test_a_job_needs_a_gpu_for_each_process(runtime: dict[str, object], needed: int) -> None:
    assert gpus_needed(runtime) == needed


def test_how_many_jobs_there_is_room_for() -> None:
    assert [places(8, 1, 1), places(8, 4, 1), places(8, 3, 1), places(2, 1, 3), places(8, 0, 1)] == [8, 2, 2, 6, 0]


def test_each_job_has_its_own_gpu_and_the_next_one_waits(tmp_path: Path) -> None:
    with taken(["4", "7"], 1, 1, tmp_path, pause) as first:
        assert first == ["4"]
        with taken(["4", "7"], 1, 1, tmp_path, pause) as second:
            assert second == ["7"]
            with pytest.raises(NoneFree), taken(["4", "7"], 1, 1, tmp_path, pause):
                pass
        with pytest.raises(NoneFree), taken(["4", "7"], 2, 1, tmp_path, pause):
            pass
        with taken(["4", "7"], 1, 1, tmp_path, pause) as third:  # the attempt at two has let go of what it had
            assert third == ["7"]


def test_jobs_that_share_gpus_take_unused_ones_first(tmp_path: Path) -> None:
    with (
        taken(["0", "1"], 1, 2, tmp_path, pause) as first,
        taken(["0", "1"], 1, 2, tmp_path, pause) as second,
        taken(["0", "1"], 2, 2, tmp_path, pause) as third,
    ):
        assert (first, second, third) == (["0"], ["1"], ["0", "1"])
        with pytest.raises(NoneFree), taken(["0", "1"], 1, 2, tmp_path, pause):
            pass


def test_more_than_there_are_is_an_error(tmp_path: Path) -> None:
    message = "^runtime.processes=3: 2 GPUs are visible; use runtime.processes=2$"
    with pytest.raises(ValueError, match=message), taken(["0", "1"], 3, 1, tmp_path, pause):
        pass


def test_a_gpu_is_free_again_when_its_job_is_killed(tmp_path: Path) -> None:
    hold = (
        "import time; from pathlib import Path; from apm_exp.runtime.gpu_pool import taken\n"
        "with taken(['0'], 1, 1, Path('.'), lambda: None) as held: print(held, flush=True); time.sleep(60)"
    )
    environment = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    job = subprocess.Popen(
        [sys.executable, "-c", hold], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    with job.stdout:
        assert job.stdout.readline() == "['0']\n"
    with pytest.raises(NoneFree), taken(["0"], 1, 1, tmp_path, pause):
        pass
    job.send_signal(signal.SIGKILL)
    job.wait()
    with taken(["0"], 1, 1, tmp_path, pause) as held:
        assert held == ["0"]
