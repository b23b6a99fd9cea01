"""A program that ends with its parent: `python -m ...with_parent_main PARENT PROGRAM ARGUMENT...`."""

import os
import signal
import sys

from apm_exp.runtime.signals import end_with_parent

if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]), signal.SIGTERM)  # it lasts beyond the next line
    os.execvp(sys.argv[2], sys.argv[2:])
