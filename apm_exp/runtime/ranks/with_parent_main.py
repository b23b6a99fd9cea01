"""Run a program that ends when its parent ends: `python -m ...with_parent_main PARENT PROGRAM ARGUMENT...`."""

import os
import signal
import sys

from apm_exp.runtime.signals import end_with_parent

if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]), signal.SIGTERM)  # it stays in effect after execvp
    os.execvp(sys.argv[2], sys.argv[2:])
