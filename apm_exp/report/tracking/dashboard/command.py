"""The command `apm-exp-dashboard`: build the W&B workspace of a project, and save it or write it to a file."""

import argparse
import importlib.util
import sys
from pathlib import Path

from apm_exp.core.errors import print_error

SCORES = "win_rate,reward_gain,held_out_accuracy,held_out_margin"
SWEPT = "metric,loss,alpha,loss.gamma_beta_ratio"
_USAGE_ERROR, _FAILURE = 2, 1


def main() -> None:
    """Run the command line; exits with 0, 2 for wrong usage, or 1 if W&B rejects the workspace."""
    given = _parser().parse_args()
    try:
        print(_build(given))
    except ValueError as error:
        sys.exit(_say(str(error), _USAGE_ERROR))
    except OSError as error:
        sys.exit(_say(f"--json={given.json}: {error.strerror}", _USAGE_ERROR))
    except RuntimeError as error:
        sys.exit(_say(str(error), _FAILURE))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="apm-exp-dashboard",
        description="Build a W&B workspace: sweep curves, parallel coordinates, training curves, the selection.",
        epilog="Saving needs a W&B login (wandb login, or WANDB_API_KEY); --json needs none and no network.",
    )
    parser.add_argument("--entity", required=True, help="W&B user or team that owns the project")
    parser.add_argument("--project", default="apm_exp", help="W&B project, as tracking.project (default: apm_exp)")
    parser.add_argument("--group", help="one sweep: the name of its folder in outputs/sweeps (default: all runs)")
    parser.add_argument("--swept", default=SWEPT, help=f"swept settings, as they are typed (default: {SWEPT})")
    parser.add_argument("--scores", default=SCORES, help=f"scores of the runs (default: {SCORES})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the workspace there; send nothing")
    return parser


def _build(given: argparse.Namespace) -> str:
    """Build the workspace and save or write it; returns its URL or path. Raises ValueError and RuntimeError."""
    if importlib.util.find_spec("wandb_workspaces") is None:
        install = "install it with: pip install -e '.[dashboard]'"
        raise ValueError(f"apm-exp-dashboard: wandb-workspaces is not installed; {install}")
    from apm_exp.report.tracking.start import has_login

    if not (given.json or has_login()):
        raise ValueError("there is no W&B login: run wandb login, or set WANDB_API_KEY, or use --json FILE")
    from apm_exp.report.tracking.dashboard.workspace import as_json, workspace
    from apm_exp.report.tracking.names import top_name

    swept = [top_name(name) for name in _names("--swept", given.swept)]
    made = workspace(given.entity, given.project, given.group, swept, _names("--scores", given.scores))
    if given.json:
        given.json.write_text(as_json(made) + "\n", encoding="utf-8")
        return str(given.json)
    try:
        return made.save().url
    except Exception as error:  # W&B's exceptions and those of the libraries below it
        raise RuntimeError(f"W&B rejected the workspace: {' '.join(str(error).split())}") from error


def _names(flag: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(f"{flag}={text}: names no setting or score; give one or more, separated by commas")
    return names


def _say(text: str, code: int) -> int:
    print_error(text)
    return code
