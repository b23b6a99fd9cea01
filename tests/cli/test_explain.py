"""What Hydra, OmegaConf and YAML raise, as one line."""

from pathlib import Path

import hydra
import pytest
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from apm_exp.cli.explain import explain
from apm_exp.core.conf import conf_folder


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "foo: [1,\n",
            "line 2, column 1: invalid YAML: expected the node content, but found '<stream end>'; fix the file",
        ),
        ("a: 1\na: 2\n", "line 2, column 1: invalid YAML: found duplicate key a; fix the file"),
    ],
)
def test_a_file_that_is_no_yaml_is_named(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(YAMLError) as caught:
        OmegaConf.load(tmp_path / "bad.yaml")
    assert explain(caught.value, []) == f"{tmp_path}/bad.yaml, {line}"


def test_an_interpolation_of_nothing_is_named() -> None:
    with pytest.raises(OmegaConfBaseException) as caught:
        OmegaConf.to_container(OmegaConf.create({"seed": "${zz}"}), resolve=True)
    assert explain(caught.value, []) == "seed: Interpolation key 'zz' not found; fix the ${...}"


def test_the_options_of_the_users_own_folder_are_among_those_to_choose_from(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "first.yaml").touch()
    error = MissingConfigException("Could not find 'keep/firts'", "keep/firts")
    assert "did you mean 'first'?" in explain(error, ["--config-dir", str(tmp_path), "keep=firts"])
    assert "first" not in explain(error, [])


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("alpha=${nope}", "alpha: Interpolation key 'nope' not found; fix the ${...}"),
        ("~alpha", "~alpha: other settings refer to it; set alpha=VALUE instead"),
        ("~alpha=7", "~alpha=7: it is 0.25; write ~alpha"),
        ("+alpha=2", "+alpha=2: exists already; write alpha=2"),
        ("trainer.args=[1]", "trainer.args=[1]: the setting has another type of value (mapping, list, single "),
        (
            "alpha=choice(1,2)",
            "alpha=choice(1,2): several values need a multirun; write: python -m apm_exp ",
        ),
        ("alpha=(1", "alpha=(1: extraneous input '('; if the value is text, write \"alpha='(1'\""),
        ("alpha='2", "alpha='2: an unclosed quote; if the value is text, write "),
        ("alpha=foo(1)", "alpha=foo(1): HydraException while evaluating 'foo(1)': Unknown function 'foo' "),
    ],
)
def test_what_hydra_refuses_is_named_with_its_remedy(override: str, line: str) -> None:
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        with pytest.raises((HydraException, OmegaConfBaseException)) as caught:
            OmegaConf.to_container(hydra.compose("config", [override, "hydra.job.num=0"]), resolve=True)
        assert explain(caught.value, [override]).startswith(line)


def test_an_option_is_named_that_has_a_setting_which_must_be_given() -> None:
    error = ConfigCompositionException("Could not override 'keep.path'. Key 'path' is not in struct")
    assert explain(error, ["keep.path=x"]) == "keep.path: no such setting; keep=ids has this setting; choose it too"
