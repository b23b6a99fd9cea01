"""The command line: `python -m apm_exp ...`, also installed as `apm-exp`."""

import gc
import os
import sys

_ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000


def main() -> None:
    """Do what the command line says; exits with 0, 2 for usage, 130 or 143 where Ctrl-C or SIGTERM ended it, 1
    for the rest.
    """
    try:
        _main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        print(f"error: standard output: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to print would be a second error
        sys.exit(1)


def _main() -> None:
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)  # starting makes many objects, and nearly all of them stay
    from apm_exp.cli.arguments import UsageLine, prepare
    from apm_exp.cli.help import help_text

    if not __debug__:
        sys.exit(_usage("PYTHONOPTIMIZE, or python -O: leaves out the checks that results rely on; run without it"))
    try:
        os.getcwd()
    except OSError:
        sys.exit(_usage("the working folder is gone; change to one that is there"))
    if sys.stdout is None:  # the next file that is opened would get its number, and what a library prints
        sys.exit(_usage("standard output is closed; open it, as with > /dev/null"))
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(help_text(), end="", flush=True)
        return
    try:
        prepared = prepare(arguments)
    except UsageLine as error:
        sys.exit(_usage(str(error)))
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["APM_EXP_TRACEBACK"] = "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and what it raises becomes one line

    from apm_exp.cli.app import run

    code = run(prepared)
    gc.freeze()  # no last search for garbage: the process ends
    sys.exit(code)


def _usage(text: str) -> int:
    from apm_exp.core.errors import USAGE_ERROR, print_error

    print_error(text)
    return USAGE_ERROR


if __name__ == "__main__":
    main()
