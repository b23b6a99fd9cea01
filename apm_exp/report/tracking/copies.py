"""The place of W&B's own copies of tables."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def copies_in(folder: Path) -> Iterator[None]:
    """Make W&B keep its copies in a folder instead of the user's home, which may be small or on another machine.

    W&B writes tables, which are small, as its own artifacts, to the folder in an environment variable.
    """
    given = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = given or str(folder.absolute())
    try:
        yield
    finally:
        if given is None:
            del os.environ["WANDB_DATA_DIR"]
