"""The line that repeats a job."""

from types import SimpleNamespace

from apm_exp.cli.one_job import config_dir


def test_the_users_own_options_are_part_of_the_command() -> None:
    main = SimpleNamespace(provider="main", path="/conf")
    mine = SimpleNamespace(provider="command-line", path="/my conf")
    assert config_dir(SimpleNamespace(runtime=SimpleNamespace(config_sources=[main]))) == []
    assert config_dir(SimpleNamespace(runtime=SimpleNamespace(config_sources=[main, mine]))) == [
        "--config-dir",
        "/my conf",
    ]
