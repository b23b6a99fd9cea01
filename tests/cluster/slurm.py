"""A real Slurm of this test's own: slurmctld and two slurmd, the nodes `n1` and `n2` of this machine."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
MailProg=/bin/true
KillWait=5
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def why_not() -> str | None:
    """Why there can be no Slurm here; None if there can."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        return f"no {missing[0]} here (Debian: slurmctld slurmd slurm-client munge)"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Slurm of our own is started as root of a Linux machine"
    try:
        return (
            None if {socket.gethostbyname(node) for node in ("n1", "n2")} == {"127.0.0.1"} else "n1 is another machine"
        )
    except OSError:
        return 'the nodes have no address: echo "127.0.0.1 n1 n2" >> /etc/hosts'


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run it for the block; yields the environment of its users. Its processes and jobs end with the block."""
    for name in ("state", "spool/n1", "spool/n2", "munge"):
        (folder / name).mkdir(parents=True)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(_CONF.format(folder=folder, host=host, ports=_free_ports(3)))
    files = {"key-file": "munge.key", "socket": "munge.socket", "log-file": "munged.log", "seed-file": "munge.seed"}
    files |= {"pid-file": "munged.pid"}
    _run(["munged", "--force", *(f"--{name}={folder / file}" for name, file in files.items())], environment)
    try:
        _run(["slurmctld"], environment)
        for node in ("n1", "n2"):
            _run(["slurmd", "-N", node], environment)
        _wait_for_nodes(environment)
        yield {name: environment[name] for name in ("SLURM_CONF", "PATH")}
    finally:
        _end_jobs(environment)
        for file in folder.glob("*.pid"):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(int(file.read_text())).kill()  # asked to end, they take 7 s


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def _wait_for_nodes(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while _idle(environment) != "2":
        assert time.monotonic() < deadline, "the nodes of the test's Slurm are not idle"
        time.sleep(0.1)


def _end_jobs(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", "--signal=KILL", "--full", "--user=root"], env=environment, check=False)
    deadline = time.monotonic() + 20
    while _idle(environment) != "2" and time.monotonic() < deadline:
        time.sleep(0.2)


def _idle(environment: dict[str, str]) -> str:
    asked = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
    return subprocess.run(asked, env=environment, capture_output=True, text=True, check=False).stdout.strip()


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
