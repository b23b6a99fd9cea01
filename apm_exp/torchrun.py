"""torchrun, as `python -m apm_exp.torchrun PARENT FILE PROCESSES`: ends with its parent, and says how ranks ended."""

import os
import signal
import sys
from pathlib import Path

from apm_exp.files import write_json
from apm_exp.orphans import end_with_parent


def main(parent: int, file: Path, processes: int) -> None:
    """Start so many ranks of `apm_exp.rank FILE` and wait for them.

    Where one fails the others are ended, and ended.json beside the file gives the exit code (minus the signal of one
    that was killed) and the time (seconds since 1970) of each failed rank.
    """
    end_with_parent(parent, signal.SIGTERM)  # torchrun's own handler then ends the ranks
    os.environ["APM_EXP_TORCHRUN"] = str(os.getpid())
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    here = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={processes}", "--max-restarts=0"]
    logs = [f"--log-dir={file.parent / 'torchrun'}"]
    try:
        run(parse_args([*here, *logs, "--monitor-interval=0.1", "-m", "apm_exp.rank", str(file)]))
    except ChildFailedError as error:
        failed = error.failures.items()
        ended = {str(rank): {"code": failure.exitcode, "time": failure.timestamp} for rank, failure in failed}
        write_json(ended, file.with_name("ended.json"))
        raise
    except SignalException as error:  # end by the signal itself, so that the parent sees which it was
        signal.signal(error.sigval, signal.SIG_DFL)
        os.kill(os.getpid(), error.sigval)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
