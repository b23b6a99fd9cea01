"""The copies of a Hub dataset in the cache of `datasets`, each named by its commit."""

import re
from pathlib import Path

_COMMIT = re.compile("[0-9a-f]{40}")


def cached_commits(path: str, subset: str | None) -> list[str]:
    """Return the commits of a dataset that are cached; the last is the one that `datasets` reads without a network.

    The cache has folders <owner>___<name>/<subset>/<version>/<commit>; the most recently changed one is read.
    """
    import datasets
    from datasets.naming import camelcase_to_snakecase

    *owner, name = path.split("/")
    folder = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / "___".join([*owner, camelcase_to_snakecase(name)])
    copies = [copy for copy in folder.glob(f"{subset or '*'}/*/*") if copy.is_dir() and _COMMIT.fullmatch(copy.name)]
    in_order = sorted(copies, key=lambda copy: copy.stat().st_mtime)
    return list(dict.fromkeys(copy.name for copy in reversed(in_order)))[::-1]
