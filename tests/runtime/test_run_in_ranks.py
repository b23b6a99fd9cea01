"""A stage function in two processes: what comes back, what is raised, and that nothing is left behind."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json
from apm_exp.core.types import Policy
from apm_exp.runtime.ranks.arguments import packed, unpacked
from apm_exp.runtime.ranks.failures import RankError, Report, raise_first, read_report
from apm_exp.runtime.ranks.rank_main import _failure
from apm_exp.runtime.run_in_ranks import run_in_ranks

CPU = {"device": "cpu", "threads": 1}


def fails(out, *, artifact, runtime):
    """A stage function that fails in one rank while the other waits for it."""
    import torch

    if os.environ["RANK"] == "1":
        raise ValueError(f"metric.k=9: {artifact.path.name} has 3 pairs; use metric.k=3")
    torch.distributed.barrier()
    return {}


def waits(out, *, runtime):
    """A stage function that says its process number and waits for something that does not come."""
    (out / f"pid_{os.environ['RANK']}").write_text(str(os.getpid()))
    time.sleep(100)
    return {}


def test_what_crosses_comes_back():
    policy = Policy(Path("/p"), "key", "float32", "auto", False)
    artifact = Artifact("pairs", Path("/a"), "k", {"pairs": 3}, 1.5)
    given = {"policy": policy, "list": [artifact, None, 1, 0.5, "x"], "node": {"deep": {"path": Path("/x")}}}
    assert unpacked(packed(given)) == given
    assert unpacked(packed(Path("x"))) == Path.cwd() / "x"  # ranks may be started elsewhere


def test_a_value_error_of_a_rank_is_the_same_value_error(tmp_path, capfd):
    given = {"artifact": Artifact("pairs", tmp_path / "mine", "k", {}, 0.0), "runtime": CPU}
    with pytest.raises(ValueError, match=r"^metric\.k=9: mine has 3 pairs; use metric\.k=3$") as raised:
        run_in_ranks(fails, tmp_path, given, 2)
    assert isinstance(raised.value.__cause__, RankError)
    assert "in rank 1" in str(raised.value.__cause__)
    assert "in fails" in str(raised.value.__cause__)
    assert "ValueError: metric.k=9" in (tmp_path / "ranks" / "1.log").read_text()
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_killed_parent_leaves_no_process(tmp_path):
    code = "from pathlib import Path; from tests.runtime.test_run_in_ranks import *; "
    code += f"run_in_ranks(waits, Path({str(tmp_path)!r}), {{'runtime': CPU}}, 2)"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    wait_for(lambda: len(list(tmp_path.glob("pid_*"))) == 2)
    left = psutil.Process(parent.pid).children(recursive=True)
    assert len(left) == 3  # torchrun and two ranks
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("failures", "ended", "message"),
    [
        # rank 1 was killed, which rank 0 noticed first as a broken connection
        ({0: ("RuntimeError", 100.2)}, {"0": (1, 100), "1": (-9, 101)}, r"^rank 1 was killed \(SIGKILL; the system"),
        # rank 0 hung until torchrun killed it, half a minute after rank 1 had failed
        ({1: ("ValueError", 100.2)}, {"0": (-9, 130), "1": (1, 100)}, "^said$"),
        # rank 0 was ended by torchrun because rank 1 had failed, after rank 2 had
        ({1: ("OSError", 100.2), 2: ("ValueError", 100.1)}, {"0": (-15, 100), "1": (1, 100), "2": (1, 100)}, "^said$"),
        ({}, {"0": (-15, 100), "1": (-15, 100)}, r"^rank 0 was killed \(SIGTERM\)"),
    ],
)
def test_the_first_failure_is_the_one_that_is_raised(tmp_path, failures, ended, message):
    for rank, (kind, when) in failures.items():
        content = {"kind": kind, "arguments": ["said"], "traceback": "", "time": when}
        write_json(content, tmp_path / f"failure_{rank}.json")
    write_json({rank: {"code": code, "time": when} for rank, (code, when) in ended.items()}, tmp_path / "ended_0.json")
    with pytest.raises(ValueError, match=message):
        raise_first([read_report(tmp_path, 0, 1)], tmp_path)


def test_the_first_failure_on_several_machines_is_the_one_that_is_raised(tmp_path):
    """Rank 1, on node 1, was killed; rank 0 noticed a broken connection; node 2's were stopped and say nothing."""
    broken = {"kind": "RuntimeError", "arguments": ["Connection closed by peer"], "traceback": "", "time": 100.0}
    noticed = Report(0, 1, False, {"0": {"code": 1, "time": 100}}, {"0": broken})
    killed = Report(1, 1, False, {"1": {"code": -9, "time": 101}}, {})
    stopped = Report(2, -9, True, None, {})
    with pytest.raises(ValueError, match=r"^rank 1 was killed \(SIGKILL"):
        raise_first([noticed, killed, stopped], tmp_path)
    with pytest.raises(RuntimeError, match=r"^Connection closed by peer$"):
        raise_first([noticed, stopped], tmp_path)
    with pytest.raises(ValueError, match=r"^the launcher of the ranks on node 1 was killed .*/torchrun_1.log$"):
        raise_first([noticed, Report(1, -9, False, None, {})], tmp_path)
    raise_first([Report(0, 0, False, None, {}), Report(1, 0, False, None, {})], tmp_path)


def test_a_failure_keeps_what_the_parent_looks_at():
    full = _failure(OSError(errno.ENOSPC, "No space left on device", "x"))
    assert (full["kind"], full["arguments"]) == ("OSError", [errno.ENOSPC, "No space left on device", "x"])
    assert _failure(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"))["kind"] == "ValueError"
    assert _failure(KeyboardInterrupt())["kind"] == "KeyboardInterrupt"
    other = _failure(KeyError("a"))
    assert (other["kind"], other["arguments"]) == ("RuntimeError", ["KeyError: 'a'"])
