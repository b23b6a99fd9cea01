"""run= finds a run by its name, a part of it, or a path, and says which there are otherwise."""

import os

import pytest

from apm_exp.report.export.find_run import find_run

NAMES = ["20260101-000000-dpo-map-aaaaaa", "20260102-000000-dpo-map-12e345", "20260103-000000-simpo-map-bbbbbb"]


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").touch()
    (tmp_path / "runs" / "latest").symlink_to(NAMES[2])
    return tmp_path


def test_by_latest_name_part_and_path(root):
    asked = {"latest": 2, NAMES[0]: 0, "20260102": 1, "12e345": 1, "simpo": 2, str(root / "runs" / NAMES[1]): 1}
    for text, which in asked.items():
        assert find_run(root, text).name == NAMES[which], text
    assert find_run(root / "elsewhere", os.path.relpath(root / "runs" / "latest")).name == NAMES[2]


def test_unknown_and_ambiguous_list_the_newest(root):
    newest = ", ".join(reversed(NAMES))
    with pytest.raises(ValueError, match=rf"^run=kto: no such run; the newest are {newest}$"):
        find_run(root, "kto")
    with pytest.raises(ValueError, match=rf"^run=dpo: matches 2 runs, the newest {NAMES[1]}, {NAMES[0]}; give more"):
        find_run(root, "dpo")
    with pytest.raises(ValueError, match=r"^run=latest: there are no runs below \S+; run one"):
        find_run(root / "elsewhere", "latest")
