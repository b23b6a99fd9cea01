"""torchrun, as `python -m apm_exp.runtime.ranks.torchrun_main PARENT FILE OPTION...`.

It ends when its parent ends, and writes how the ranks ended.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from apm_exp.core.files import write_json
from apm_exp.runtime.signals import end_with_parent


def main(parent: int, file: Path, options: Sequence[str]) -> None:
    """Start ranks of `apm_exp.runtime.ranks.rank_main FILE` with torchrun's own options, and wait for them.

    If one fails, the others are ended, and ended.json beside the file has the exit code (minus the signal if it was
    killed) and the time (seconds since 1970) of each failed rank.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it
    end_with_parent(parent, signal.SIGHUP)  # torchrun's own handler then ends the ranks
    ours = ["--max-restarts=0", "--monitor-interval=0.1", f"--log-dir={file.parent / 'torchrun'}"]
    if sys.platform == "linux":
        ours.append("--signals-to-handle=SIGINT,SIGHUP,SIGQUIT")
        signal.signal(signal.SIGTERM, _pass_on)
    os.environ["APM_EXP_TORCHRUN"] = str(os.getpid())
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args([*options, *ours, "-m", "apm_exp.runtime.ranks.rank_main", str(file)]))
    except ChildFailedError as error:
        failed = error.failures.items()
        ended = {str(rank): {"code": failure.exitcode, "time": failure.timestamp} for rank, failure in failed}
        write_json(ended, file.with_name("ended.json"))
        raise
    except SignalException as error:  # end with the same signal, so that the parent can see it
        signal.signal(error.sigval, signal.SIG_DFL)
        os.kill(os.getpid(), error.sigval)


def _pass_on(*_: object) -> None:
    """Pass SIGTERM on to the ranks and keep waiting for them; end if there are none yet.

    torchrun's own handler would kill them 30 s later, and a checkpoint of a large model takes longer.
    """
    ranks = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for rank in ranks:
        os.kill(int(rank), signal.SIGTERM)
    if not ranks:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
