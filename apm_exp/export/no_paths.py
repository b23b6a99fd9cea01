"""What is published names no folder of this machine."""

import re
import shlex
from pathlib import PurePath

_ABSOLUTE = re.compile(r"""(^|[=\[,\s'"])(~?/[^,\]'"]*)""")


def last_parts(text: str) -> str:
    """A word of a command line with the last part of each absolute path in the place of the path."""
    return _ABSOLUTE.sub(lambda found: found[1] + PurePath(found[2]).name, text)


def public_command(command: str) -> str:
    """A command line without the folders of the machine on which it was typed."""
    return shlex.join(map(last_parts, shlex.split(command)))


def replay_command(command: str, folder: str) -> str:
    """The command line that chooses the pairs of an exported folder again, from the one that made the run."""
    words = [word for word in shlex.split(command) if not re.match(r"[+~]*(keep(\.\w+)?|output_root|rebuild)=", word)]
    return shlex.join([*map(last_parts, words), "keep=ids", f"keep.path={folder}"])
