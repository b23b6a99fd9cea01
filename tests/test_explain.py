"""What Hydra, OmegaConf and YAML raise, as one line."""

from pathlib import Path

import pytest
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from apm_exp.explain import explain


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "foo: [1,\n",
            "line 2, column 1: not YAML: expected the node content, but found '<stream end>'; correct the file",
        ),
        ("a: 1\na: 2\n", "line 2, column 1: not YAML: found duplicate key a; correct the file"),
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
    assert explain(caught.value, []) == "seed: Interpolation key 'zz' not found; correct the ${...}"


def test_the_options_of_the_users_own_folder_are_among_those_to_choose_from(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "first.yaml").touch()
    error = MissingConfigException("Could not find 'keep/firts'", "keep/firts")
    assert "did you mean 'first'?" in explain(error, ["--config-dir", str(tmp_path), "keep=firts"])
    assert "first" not in explain(error, [])
