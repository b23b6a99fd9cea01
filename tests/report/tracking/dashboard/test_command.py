"""apm-exp-dashboard: the workspace as JSON, without network; errors in one line, never a prompt."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apm_exp.report.tracking.dashboard import command
from tests.report.tracking.dashboard.metric_names import names, written_workspace

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")  # inside wandb-workspaces


def dashboard(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of apm-exp-dashboard with these arguments."""
    monkeypatch.setattr(sys, "argv", ["apm-exp-dashboard", *arguments])
    try:
        command.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_sweeps_workspace_shows_its_settings_its_scores_and_its_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    more = ("--group", "mine-0123", "--swept", "keep.fraction,loss", "--scores", "win_rate")
    written = tmp_path / "workspace.json"
    assert dashboard(monkeypatch, "--entity", "us", "--json", str(written), *more) == 0
    assert json.loads(written.read_text())["displayName"] == "apm_exp mine-0123"
    section = written_workspace(written)
    sections = {one["name"]: one["panels"] for one in section["panelBankConfig"]["sections"]}
    assert list(sections) == [
        *("Results by alpha", "Results by gamma_beta_ratio", "Settings and results", "Training", "Selection"),
    ]
    (plot,) = sections["Settings and results"]
    accessors = [column["accessor"] for column in plot["config"]["columns"]]
    assert accessors == ["config:keep_fraction.value", "config:loss_name.value", "summary:eval/win_rate"]
    (only,) = section["runSets"][0]["filters"]["filters"]
    assert (only["key"], only["op"], only["value"]) == ({"section": "run", "name": "group"}, "=", "mine-0123")
    assert {name for kind, name in names(section) if kind == "summary"} == {"eval/win_rate", "selection/kept"}


def test_saving_without_a_login_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboard(monkeypatch, "--entity", "us") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "wandb login" in error
    assert "--json FILE" in error


def test_a_server_that_says_no_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import wandb_workspaces.workspaces as workspaces

    def save(self: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(workspaces.Workspace, "save", save)
    assert dashboard(monkeypatch, "--entity", "us") == 1
    assert capsys.readouterr().err == "error: W&B rejected the workspace: no route to host\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--swept", ","], "--swept=,: names no setting or score"),
        (["--json", "no/such/folder/file.json"], "--json=no/such/folder/file.json: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert dashboard(monkeypatch, "--entity", "us", "--json", "never.json", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert dashboard(monkeypatch, "--entity", "us") == 2
    assert capsys.readouterr().err == (
        "error: apm-exp-dashboard: wandb-workspaces is not installed; install it with: pip install -e '.[dashboard]'\n"
    )


def test_help_imports_nothing_large() -> None:
    code = (
        "import sys; sys.argv = ['apm-exp-dashboard', '--help']\n"
        "from apm_exp.report.tracking.dashboard.command import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'wandb', 'wandb_workspaces', 'torch', 'pydantic', 'hydra'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "--json FILE" in result.stdout
