"""What is wrong with a multirun ends the command before job 0, in one line."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError

from apm_exp.cli.multirun import callback as multirun
from apm_exp.cli.multirun.compose import values_of
from apm_exp.cli.one_job import NothingToRun
from apm_exp.core.errors import FAILURE, USAGE_ERROR


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("seed=0,1,0", "0 is repeated; give each value once"),
        ("alpha=1,1.0", "1 is repeated; give each value once"),
        ("alpha=0.1,1e-1", "0.1 is repeated; give each value once"),
        ("metric=map,'map'", "map is repeated; give each value once"),
        ("alpha=choice(2,1,2)", "2 is repeated; give each value once"),
        ("alpha=range(3,1)", "no values, so there are no jobs; give at least one"),
        ("alpha=range(0,1,step=0)", "range() arg 3 must not be zero"),
        ("alpha=shuffle(1,2)", "shuffles the jobs differently each time; remove shuffle"),
    ],
)
def test_values_that_make_no_list_of_jobs(typed: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NothingToRun) as caught:
        values_of(OverridesParser.create().parse_override(typed))
    assert (caught.value.code, capsys.readouterr().err) == (USAGE_ERROR, f"error: {typed}: {problem}\n")


@pytest.mark.parametrize(
    ("typed", "values"),
    [("alpha=1,2", [1, 2]), ("model.trust_remote_code=true,1", [True, 1]), ("alpha=range(1,3)", [1, 2])],
)
def test_values_of_a_list_of_jobs(typed: str, values: list[object]) -> None:
    assert values_of(OverridesParser.create().parse_override(typed)) == values


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (IndexError("list index"), FAILURE, "error: the check before job 0 failed: IndexError: list index; "),
        (ConfigKeyError("alpah is missing"), USAGE_ERROR, "error: alpah is missing\n"),
    ],
)
def test_an_error_of_the_check_is_no_warning_of_hydras(
    error: Exception, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(multirun, "launcher_problem", fail)
    monkeypatch.delenv("APM_EXP_TRACEBACK", raising=False)
    check = multirun.CheckJobs()
    for start in (check.on_multirun_start, check.on_run_start):
        with pytest.raises(SystemExit) as caught:  # Hydra's callbacks let no Exception through
            start(OmegaConf.create())
        assert (caught.value.code, capsys.readouterr().err.startswith(message)) == (code, True)
