"""The command line: `python -m apm_exp ...`, also installed as `apm-exp`."""

import gc
import os
import sys

_ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000


def main() -> None:
    """Run the command line.

    Exits with 0, with 2 for a usage error, with 130 or 143 after Ctrl-C or SIGTERM, and with 1 for other errors.
    """
    try:
        try:
            _main()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, as what cannot be printed at the end of the process is no failure of it
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        print(f"error: standard output: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # flushing the remaining output would fail again
        sys.exit(1)


def _main() -> None:
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)  # start-up allocates many objects, nearly all of which are kept
    from apm_exp.cli.arguments import UsageLine, prepare
    from apm_exp.cli.help import help_text
    from apm_exp.cli.version import version_text

    if not __debug__:
        sys.exit(_usage("PYTHONOPTIMIZE, or python -O: disables the assertions that results depend on; run without it"))
    try:
        os.getcwd()
    except OSError:
        sys.exit(_usage("the working directory does not exist any more; change to another one"))
    if sys.stdout is None:  # a file that is opened next would get descriptor 1 and receive printed text
        sys.exit(_usage("standard output is closed; redirect it, for example with > /dev/null"))
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(help_text(), end="", flush=True)
        return
    if "--version" in arguments or "-V" in arguments:
        print(version_text(), flush=True)
        return
    try:
        prepared = prepare(arguments)
    except UsageLine as error:
        sys.exit(_usage(str(error)))
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        os.environ["APM_EXP_TRACEBACK"] = "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors, which become one line

    from apm_exp.cli.app import run

    code = run(prepared)
    gc.freeze()  # skips a final garbage collection, as the process ends
    sys.exit(code)


def _usage(text: str) -> int:
    from apm_exp.core.errors import USAGE_ERROR, print_error

    print_error(text)
    return USAGE_ERROR


if __name__ == "__main__":
    main()
