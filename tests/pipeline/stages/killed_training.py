"""Run by a test in a process of its own: a training that is killed, as by `kill -9`, after some steps."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from apm_exp.core.types import Policy
from tests.pipeline.stages.training_stage import run_stage


def main(folder: Path, last_step: int) -> None:
    def die(row: dict[str, Any]) -> None:
        if row["step"] == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    policy = Policy(folder / "policy", "tiny", "float32", "auto", False)
    run_stage(folder / "killed", folder, policy, log=die)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
