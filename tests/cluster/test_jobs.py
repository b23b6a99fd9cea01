"""The command as a job of a real Slurm, and its multirun as an array: how each ends, for the user and for Slurm."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.command import SMALL, command, environment

pytestmark = pytest.mark.slurm
WORLD = [*(setting for setting in SMALL if not setting.startswith("model.")), "tracking=none", "model.steps=5"]
TRAINING = [*WORLD, "trainer.global_batch=2", "trainer.log_every=1"]  # some 10 steps an epoch
ON_TWO_NODES = ["runtime=slurm", "runtime.device=cpu", "runtime.processes=1"]
LAUNCHER = [
    "hydra/launcher=slurm",
    "hydra.launcher.gpus_per_node=null",
    "hydra.launcher.cpus_per_task=2",
    "runtime=cpu",
]


class Job:
    """A job of the user whose environment is `slurm`."""

    def __init__(self, slurm: dict[str, str], number: str, log: Path | None = None) -> None:
        self.environment, self.number, self.log = environment() | slurm, number, log

    def ask(self, *line: str) -> str:
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=True, timeout=60).stdout

    @property
    def state(self) -> str:
        """State and exit code, as Slurm has them."""
        shown = self.ask("scontrol", "--oneliner", "show", "job", self.number)
        return " ".join(re.search(rf"\b{name}=(\S+)", shown)[1] for name in ("JobState", "ExitCode"))  # type: ignore[index]

    def goes_on(self) -> bool:
        return self.state.startswith(("PENDING", "RUNNING", "CONFIGURING", "COMPLETING"))

    def change(self, *settings: str) -> None:
        self.ask("scontrol", "update", f"jobid={self.number}", *settings)

    def last_line(self) -> str:
        """The last line that is the command's own."""
        assert self.log is not None
        lines = [line for line in self.log.read_text().splitlines() if not line.startswith(("srun: ", "slurmstepd"))]
        return lines[-1]


def submitted(slurm: dict[str, str], root: Path, *arguments: str, options: tuple[str, ...] = ()) -> Job:
    """The command in a script of the user's own, on two nodes."""
    script = root / "job.sh"
    script.write_text("#!/bin/bash\nexec " + " ".join(command(*arguments)) + "\n")
    log = root / f"{time.monotonic_ns()}.out"
    asked = ["sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=2", f"--output={log}"]
    said = subprocess.run(
        [*asked, *options, str(script)],
        cwd=root,
        env=environment() | slurm,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return Job(slurm, said.stdout.strip(), log)


def wait_for(condition: Callable[[], object], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def steps(root: Path) -> int:
    """The optimizer steps that the policy of a folder has had."""
    return sum(path.read_text().count("\n") for path in root.glob("outputs/policy/*/metrics.jsonl"))


def trains(root: Path, goes_on: Callable[[], bool]) -> None:
    """Wait until some more steps are done."""
    before = steps(root)

    def more() -> bool:
        assert goes_on()
        return steps(root) >= before + 3

    wait_for(more)


def rank(number: int) -> psutil.Process:
    each = psutil.process_iter(["cmdline", "name"])
    ranks = [one for one in each if "apm_exp.runtime.ranks.rank_main" in (one.info["cmdline"] or [])]
    (found,) = (
        one
        for one in ranks
        if one.info["name"].startswith("python") and one.environ().get("SLURM_PROCID") == str(number)
    )
    return found


def alive(root: Path) -> list[psutil.Process]:
    """The processes of a command in a folder, and its ranks."""
    found = []
    for process in psutil.process_iter(["cwd", "name"]):
        if process.info["cwd"] and Path(process.info["cwd"]) == root and process.pid != os.getpid():
            found.append(process)
    return found


def resumed_from(job: Job) -> int:
    assert job.log is not None
    return int(re.findall(r"training resumes from optimizer step (\d+)", job.log.read_text())[-1])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose outputs the tests share: all train on the same scored pairs."""
    return tmp_path_factory.mktemp("jobs")


def multirun(slurm: dict[str, str], root: Path, *arguments: str) -> "subprocess.Popen[str]":
    line = command(*arguments, *LAUNCHER)
    return subprocess.Popen(line, cwd=root, env=environment() | slurm, stderr=subprocess.PIPE, text=True)


def test_jobs_that_fail_or_are_killed_are_named_and_the_others_go_on(slurm: dict[str, str], root: Path) -> None:
    jobs = ["until=selection", "dataset.holdout=0.05", "keep=threshold", "keep.minimum=0,1000000,0.5"]
    waiting = multirun(slurm, root, *WORLD, "-m", *jobs)
    wait_for(lambda: of_array(2) or waiting.poll() is not None)
    array = of_array(2)[0].environ()["SLURM_ARRAY_JOB_ID"]
    for process in of_array(2):
        process.kill()
    *_, failed, killed, last = waiting.communicate(timeout=200)[1].splitlines()
    assert waiting.returncode == 1
    assert failed.startswith("error: job 1 (keep.minimum=1000000): keep.minimum=1000000: would keep 0 of ")
    lost = (
        rf"error: job 2 \(keep.minimum=0.5\): the Slurm job {array}_2 ended as FAILED and left no result; its log: (.*)"
    )
    assert Path(re.fullmatch(lost, killed)[1]).is_file()  # type: ignore[index]
    assert last.startswith("1 of 3 jobs done | report: ")
    ends = [Job(slurm, f"{array}_{number}").state for number in range(3)]
    assert ends == ["COMPLETED 0:0", "FAILED 1:0", "FAILED 137:0"]
    records = sorted(root.glob("outputs/sweeps/*/jobs/*.json"))
    assert [json.loads(path.read_text())["state"] for path in records] == ["done", "failed", "failed"]


def test_a_requeued_job_is_waited_for_and_one_that_is_canceled_is_named(slurm: dict[str, str], root: Path) -> None:
    waiting = multirun(slurm, root, *TRAINING, "-m", "trainer.epochs=31")
    trains(root, lambda: waiting.poll() is None)
    (log,) = (path for path in root.glob("outputs/sweeps/*/.submitit/*/*_log.out") if "_" not in path.parent.name)
    job = Job(slurm, log.parent.name, log)
    job.ask("scontrol", "requeue", job.number)
    wait_for(lambda: job.state.startswith("PENDING"), 30)
    job.change("starttime=now")  # Slurm holds it back for two minutes
    trains(root, job.goes_on)
    assert resumed_from(job) >= 3
    assert waiting.poll() is None
    job.ask("scancel", job.number)
    *_, stopped, last = waiting.communicate(timeout=60)[1].splitlines()
    assert waiting.returncode == 1
    assert re.match(
        r"error: job 0: the training stopped at optimizer step \d+ of 310 after SIGTERM and saved a", stopped
    )
    assert last.startswith("0 of 1 jobs done, 1 interrupted | report: ")
    assert job.state.startswith("CANCELLED")


def test_a_training_on_two_nodes_that_loses_one_resumes_when_it_is_requeued(slurm: dict[str, str], root: Path) -> None:
    arguments = [*TRAINING, "trainer.epochs=20", *ON_TWO_NODES]
    job = submitted(slurm, root, *arguments, options=("--requeue", "--open-mode=append"))
    trains(root, job.goes_on)
    job.ask("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    wait_for(lambda: job.state.startswith("PENDING"), 30)
    wait_for(lambda: not alive(root), 30)
    job.change("starttime=now+5")  # the node is back as soon as it answers; Slurm itself waits for two minutes
    wait_for(lambda: not job.goes_on())
    assert job.state == "COMPLETED 0:0"
    assert resumed_from(job) >= 3
    assert job.last_line().startswith("win rate ")


@pytest.mark.slow
def test_a_time_limit_saves_a_checkpoint_and_a_killed_rank_is_named(slurm: dict[str, str], root: Path) -> None:
    """Slurm compares jobs with their time limits every 30 s."""
    arguments = [*TRAINING, "trainer.epochs=3000", *ON_TWO_NODES]
    job = submitted(slurm, root, *arguments, options=("--time=9", "--signal=B:TERM@120"))
    began = time.monotonic()
    trains(root, job.goes_on)
    job.change(f"timelimit={int((time.monotonic() - began) / 60) + 2}")  # minutes: one or two from now
    wait_for(lambda: not job.goes_on(), 90)
    assert job.state == "FAILED 143:0"
    assert re.match(
        r"error: the training stopped at optimizer step \d+ of .* after SIGTERM and saved a", job.last_line()
    )
    wait_for(lambda: not alive(root), 30)

    job = submitted(slurm, root, *arguments)
    trains(root, job.goes_on)
    assert resumed_from(job) >= 3
    os.kill(rank(1).pid, signal.SIGKILL)
    wait_for(lambda: not job.goes_on(), 30)
    assert job.state == "FAILED 1:0"
    assert re.search(r"^error: rank 1 on n2 was killed \(SIGKILL; .*; its log: .*/ranks/1.log$", job.last_line())
    wait_for(lambda: not alive(root), 30)


def of_array(number: int) -> list[psutil.Process]:
    """The processes of submitit that do a job of an array."""
    each = psutil.process_iter(["cmdline"])
    ours = [one for one in each if {"-u", "submitit.core._submit"} <= set(one.info["cmdline"] or [])]
    return [one for one in ours if one.environ().get("SLURM_ARRAY_TASK_ID") == str(number)]
