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
from apm_exp.core.errors import Stopped
from apm_exp.core.files import write_json
from apm_exp.core.types import Policy
from apm_exp.runtime.ranks import failures as rank_failures
from apm_exp.runtime.ranks import mpirun_process, srun_process
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
    write(tmp_path, failures, {rank: {"code": code, "time": when} for rank, (code, when) in ended.items()})
    with pytest.raises(ValueError, match=message):
        raise_first(read_report(tmp_path, 1, tmp_path / "launcher.log"), tmp_path)


def write(exchange, failures, ended):
    """What ranks and their launcher leave."""
    for rank, (kind, when) in failures.items():
        content = {"kind": kind, "arguments": ["said"], "traceback": "", "time": when}
        write_json(content, exchange / f"failure_{rank}.json")
    write_json(ended, exchange / "ended.json")


@pytest.mark.parametrize(
    ("failures", "ended", "said", "kind", "message"),
    [
        # rank 3 was killed; srun ended the others
        (
            {0: ("RuntimeError", 100.2)},
            {"2": (-15, 100.1), "3": (-9, 100.1), "0": (1, 100.3)},
            "",
            ValueError,
            r"^rank 3 on n2 was killed \(SIGKILL; .*/3.log$",
        ),
        # rank 1 has failed; srun ended rank 0
        ({1: ("ValueError", 100.2)}, {"1": (1, 100.2), "0": (-15, 100.3)}, "", ValueError, "^said$"),
        # the scheduler has told all
        ({}, {"0": (-15, 100), "1": (-15, 100.1)}, "", Stopped, "^stopped by SIGTERM; "),
        ({}, {"node n2": (0, 100)}, "", ValueError, "^node n2 failed; re-run the same command to resume; see .*r.log$"),
        # a rank that does not see the folder has only the launcher's log
        (
            {},
            {"1": (1, 100)},
            "x\napm_exp: output_root: /o is not on n2; give\n",
            ValueError,
            "^output_root: /o is not",
        ),
        (
            {},
            {},
            "srun: error: Unable to create step: no\n\n",
            RuntimeError,
            r"code 2: srun: error: Unable .* no; see ",
        ),
        ({}, {}, "", RuntimeError, "^the ranks ended with exit code 2 and no message; see "),
    ],
)
def test_what_a_clusters_launcher_says_is_one_line(tmp_path, monkeypatch, failures, ended, said, kind, message):
    monkeypatch.setattr(rank_failures, "_SECONDS_TO_SHOW", 0.0)
    write(tmp_path, failures, {who: {"code": c, "time": when, "node": "n2"} for who, (c, when) in ended.items()})
    (log := tmp_path / "launcher.log").write_text(said)
    with pytest.raises(kind, match=message) as raised:
        raise_first(read_report(tmp_path, 2, log), tmp_path)
    assert type(raised.value) is kind


def test_a_killed_launcher_is_named(tmp_path):
    for ended in (None, {}):
        with pytest.raises(ValueError, match=r"^the launcher of the ranks was killed \(SIGKILL; .*/launcher.log$"):
            raise_first(Report(-9, ended, {}, tmp_path / "launcher.log"), tmp_path)
    raise_first(Report(0, None, {}, tmp_path / "launcher.log"), tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("srun: error: n2: task 1: Killed\n", [("1", -9, "n2")]),
        ("srun: error: n1: tasks 0-2,5: Exited with exit code 3", [(rank, 3, "n1") for rank in "0125"]),
        ("srun: error: gpu-07: task 12: Segmentation fault (core dumped)", [("12", -11, "gpu-07")]),
        ("srun: error: n1: task 0: Out Of Memory", [("0", -9, "n1")]),
        ("srun: error: Node failure on n2", [("node n2", 0, "n2")]),
        ("srun: error: Unable to create step for job 12: Invalid node name", []),
        ("slurmstepd-n1: error: *** STEP 2.1 ON n1 CANCELLED AT 2026-11-26T01:50:25 ***", []),
    ],
)
def test_srun_says_how_ranks_ended(line, told):
    assert list(srun_process.ends(line)) == told


def test_mpirun_says_which_rank_was_killed():
    line = "mpirun noticed that process rank 1 with PID 4 on node n2 exited on signal 9 (Killed)."
    assert list(mpirun_process.ends(line)) == [("1", -9, "n2")]
    assert list(mpirun_process.ends("mpirun detected that one or more processes exited with non-zero status")) == []


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu7,gpu9", "gpu7"),
        ("gpu[07-09,12]", "gpu07"),
        ("gpu[3,5],cpu1", "gpu3"),
        ("rack[1-2]n.site.org", "rack1n.site.org"),
    ],
)
def test_the_first_node_of_a_slurm_job(nodes, first):
    assert srun_process.first_host(nodes) == first


def test_a_failure_keeps_what_the_parent_looks_at():
    full = _failure(OSError(errno.ENOSPC, "No space left on device", "x"))
    assert (full["kind"], full["arguments"]) == ("OSError", [errno.ENOSPC, "No space left on device", "x"])
    assert _failure(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"))["kind"] == "ValueError"
    assert _failure(KeyboardInterrupt())["kind"] == "KeyboardInterrupt"
    other = _failure(KeyError("a"))
    assert (other["kind"], other["arguments"]) == ("RuntimeError", ["KeyError: 'a'"])
