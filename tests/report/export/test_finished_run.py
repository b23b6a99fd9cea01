"""Which records of runs can be exported."""

import json
from pathlib import Path
from typing import Any

import pytest

from apm_exp.core.errors import UsageError
from apm_exp.report.export.finished_run import read_run

OLD = {"key": "k", "build": "b", "folder": "policy/dpo-01234567", "seconds": 1.0, "counts": {}, "reused": False}


def run_of(root: Path, steps: Any, until: str = "null") -> Path:
    folder = root / "runs" / "20260101-000000-dpo-0a0b0c"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"until: {until}\n")
    record = {"state": "done", "reason": None, "command": "python -m apm_exp", "steps": steps}
    (folder / "result.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("steps", [None, {}, {"selection": OLD, "policy": OLD, "evaluation_win_rate": OLD}])
def test_a_run_of_an_earlier_version_is_refused_with_the_command_that_builds_it_again(
    tmp_path: Path, steps: Any
) -> None:
    folder = run_of(tmp_path, steps)
    said = rf"^run={folder.name}: was made by an earlier version, whose steps have other names; the line in "
    with pytest.raises(UsageError, match=said):
        read_run(folder)


@pytest.mark.parametrize("until", ["logps", "generations.2-evolved"])
def test_a_run_that_stopped_before_any_selection_has_nothing_to_export(tmp_path: Path, until: str) -> None:
    folder = run_of(tmp_path, {"logps": OLD | {"state": "done"}}, until)
    said = rf"^run={folder.name}: it has no selection, as it stopped at until={until}; re-run the line in \S+ without"
    with pytest.raises(UsageError, match=said):
        read_run(folder)
