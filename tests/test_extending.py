"""What docs/extending.md says is what works: its examples, as a package of the user's own."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.types import PairLogps
from apm_exp.pipeline.unroll import unroll
from tests.command import command, environment
from tests.pipeline.test_graph import CHOICES
from tests.test_configs import compose

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"
OPTIONS = ("dataset/tsv", "loss/squared", "metric/agreement", "pipeline/twice", "reward/length")
CHOSEN = ("metric=agreement", "loss=squared", "dataset=tsv", "dataset.path=pairs.tsv", "reward=length")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the page's files where their first lines say, and some pairs."""
    folder = tmp_path_factory.mktemp("own")
    files = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert sorted(files) == sorted(
        [f"mine/{name}.py" for name in ("agreement", "length", "squared", "tsv", "twice")]
        + [f"my_conf/{name}.yaml" for name in OPTIONS]
    )
    for name, text in {**files, "mine/__init__.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    rows = "".join(f"name {number}\ta fruit\ta stone\n" for number in range(40))
    (folder / "pairs.tsv").write_text("prompt\tchosen\trejected\n" + rows)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_the_pages_components_run_from_the_users_own_package(desk: Path) -> None:
    options = ["--config-dir", "my_conf", *CHOSEN, "metric.weight=0.5", "model=tiny_from_data", "task=plan"]

    def plan(*more: str) -> subprocess.CompletedProcess[str]:
        here = environment() | {"PYTHONPATH": os.pathsep.join([str(desk), os.environ.get("PYTHONPATH", "")])}
        arguments = command(*options, *more)
        return subprocess.run(arguments, cwd=desk, env=here, capture_output=True, text=True, timeout=120)

    refused = plan()
    assert refused.returncode == 2
    assert "trusted_packages" in refused.stderr
    trusted = plan("trusted_packages=[mine]")
    assert trusted.returncode == 0, trusted.stderr
    assert "squared-agreement-tiny_from_data" in trusted.stdout


def test_the_pages_recipe_has_its_iterations(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "mine"})
    config = compose("pipeline._target_=mine.twice.twice", "+pipeline.iterations=2", "iterations=2", "evals=[]")
    steps = unroll(config, CHOICES, FileDigests(desk / "digests.json"))
    assert [name for name in steps if name.startswith(("generations", "policy"))] == [
        *("generations.1", "policy.1", "generations.2", "policy.2")
    ]


def test_the_pages_loss_is_what_it_says(desk: Path) -> None:
    sums = [torch.tensor([value]) for value in (-10.0, -30.0, -12.0, -25.0)]  # chosen, rejected, and the reference's
    lengths = torch.tensor([4.0]), torch.tensor([5.0])
    squared = importlib.import_module("mine.squared").squared
    # 0.1 * ((-10 + 12) - (-30 + 25)) = 0.7, and 0.3 from the target.
    assert squared(PairLogps(*sums, *lengths), beta=0.1, target=1.0).item() == pytest.approx(0.09)


def test_the_pages_data_set_and_reward_source_are_what_they_say(desk: Path) -> None:
    rows = list(importlib.import_module("mine.tsv").tsv(path=str(desk / "pairs.tsv")))
    assert len(rows) == 40
    assert (rows[0].source, rows[0].row) == (
        f"{desk}/pairs.tsv:2",
        {"prompt": "name 0", "chosen": "a fruit", "rejected": "a stone"},
    )
    responses = pa.table({"responses": [["abc", "a"], ["abcde", ""]]})
    assert importlib.import_module("mine.length").length(responses, unit=2.0) == [[1.5, 0.5], [2.5, 0.0]]
