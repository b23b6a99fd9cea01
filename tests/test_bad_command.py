"""What cannot be right is one line on the screen, exit code 2, and nothing written."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from apm_exp.core.conf import conf_folder
from tests.command import apm_exp, command, environment

CASES = {
    "metrc=map": "metrc: no such setting; did you mean 'metric'?",
    "metric=mapp": "metric=mapp: no such option; did you mean 'map'?",
    "runtime=nodes": "runtime=nodes: was removed; run the command once, on the first machine: runtime=slurm in a Slurm "
    "job, runtime=mpi with Open MPI elsewhere (docs/cluster.md)",
    "sweeps=alpa": "sweeps=alpa: no such option; did you mean 'alpha'?",
    "+metric.alhpa=1": "metric.alhpa=1: no such setting; did you mean 'alpha'?",
    "learning_rate=1": "learning_rate=1: no such setting; write trainer.learning_rate=1",
    "trainer.args.debug=x": "trainer.args.debug: new arguments need a plus; write +trainer.args.NAME=VALUE",
    "trainer.lr=1e-5": "trainer.lr=1e-5: no such setting; write trainer.learning_rate=1e-5",
    "generate=on_policy": "generate=on_policy: is there no more; write pipeline=on_policy",
    "evals=micro_world": "evals=micro_world: is there no more; write evals=[win_rate,held_out_pairs]",
    "generate.samples=1": "generate.samples=1: a pair needs two responses; give at least 2",
    "pipeline=offline generate.samples=3": (
        "generate.samples=3: pipeline=offline samples no responses; write evals.win_rate.generate.samples=3 for the "
        "evaluation, or use pipeline=on_policy"
    ),
    "pipeline=offline evals=held_out_pairs generate.samples=3": (
        "generate.samples=3: pipeline=offline samples no responses; leave it out, or use pipeline=on_policy"
    ),
    "iterations=2": "iterations=2: pipeline=on_policy has no iterations; leave it out, or use one that has, such as ",
    "alpha=1,2": "alpha=1,2: several values need a multirun; write: python -m apm_exp -m alpha=1,2",
    "model=./sft": "model=./sft: not an option; write model=local model.path=./sft",
    "dataset=my.jsonl": "dataset=my.jsonl: not an option; write dataset=jsonl dataset.path=my.jsonl",
    "alpha=-1": "alpha=-1: input should be greater than or equal to 0",
    "seed=one": "seed=one: input should be a valid integer",
    "task=rum": "task=rum: input should be 'run', 'plan', 'status', 'clean' or 'export'",
    "loss.beta=-0.1": "loss.beta=-0.1: input should be greater than 0",
    "metric.alpha=2.5": "metric.alpha=2.5: alpha is a top-level setting; write alpha=2.5",
    "dataset=jsonl": "model is required: dataset=jsonl has none of its own; set model=local model.path=FOLDER, or",
    "output_root=/proc/outputs": "output_root=/proc/outputs: cannot write below /proc",
    "bf16=true lora_r=8 trainer.gradient_accumulation_steps=8": (
        "bf16=true: no such setting; write model.dtype=bfloat16 | lora_r=8: no such setting; write model.adapter=lora "
        "model.adapter.rank=8 | trainer.gradient_accumulation_steps=8: no such setting; write trainer.global_batch=N; "
    ),
    "+trainer.args.bf16=true": "trainer.args.bf16=true: write model.dtype=bfloat16",
    "loss.gamma=5": "loss.gamma=5: no such setting; write loss=simpo loss.gamma_beta_ratio=RATIO; SimPO's margin is ",
    "keep.k=100": "keep.k=100: no such setting; write keep=top_k keep.k=100",
    "keep.fraction=40": "keep.fraction=40: input should be less than or equal to 1; 40% is 0.4",
    "loss=DPO": "loss=DPO: no such option; did you mean 'dpo'?",
    "ALPHA=2": "ALPHA: no such setting; did you mean 'alpha'?",
    "rebuild=true": "rebuild=true: input should be a valid string; write rebuild=all",
    "loss=sigmoid": "loss=sigmoid: no such option; write loss=dpo",
    "dataset=parquet": "dataset=parquet: no such option; write dataset=jsonl dataset.path=FILE; ",
    "model=a/b": "model=a/b: no such option; write model=local model.path=a/b",
    "task=clean clean=true": "clean=true: input should be a valid dictionary; write task=clean clean.delete=true",
    "trainer.learning_rate=5e7": "trainer.learning_rate=50000000.0: input should be less than or equal to 10; did you "
    "mean 5e-07?",
    "model.dtype=bf16": "model.dtype=bf16: input should be 'auto', 'float32', 'bfloat16' or 'float16'; write ",
    "+tracking.api_key=abc": "tracking.api_key=...: looks like a secret",
}


@pytest.mark.parametrize("argument", CASES)
def test_bad_settings(argument: str, tmp_path: Path) -> None:
    result = apm_exp(tmp_path, *argument.split())
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith(f"error: {CASES[argument]}"), result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bad_job_of_a_multirun_is_found_before_job_0(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "-m", "alpha=1,-1")
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: job 1 (alpha=-1): alpha=-1: input should be greater than or equal to 0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked for in /proc")
def test_a_multirun_that_is_refused_leaves_no_process(tmp_path: Path) -> None:
    """Its server had begun to import, which takes seconds more."""
    subprocess.run(command("-m", "alpha=1,-1"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 2
    while _processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "metric=map,mapp,implict",
            "job 1: metric=mapp: no such option; did you mean 'map'?\n"
            "error: job 2: metric=implict: no such option; did you mean 'implicit'?",
        ),
        ("alpah=1,2", "jobs 0, 1: alpah: no such setting; did you mean 'alpha'?"),
    ],
)
def test_a_multirun_names_every_job_that_cannot_be_composed(arguments: str, message: str, tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "-m", arguments)
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")


def test_a_misspelled_setting_beside_options_of_the_users_own(tmp_path: Path) -> None:
    shipped = (conf_folder() / "metric" / "map.yaml").read_text()
    (tmp_path / "mine" / "metric").mkdir(parents=True)
    (tmp_path / "mine" / "metric" / "my_metric.yaml").write_text(shipped)
    result = apm_exp(tmp_path, "--config-dir", "mine", "metric=my_metric", "alpah=1")
    assert (result.returncode, result.stderr) == (2, "error: alpah: no such setting; did you mean 'alpha'?\n")


def test_what_an_own_option_lacks_is_said_with_its_file_and_the_lines(tmp_path: Path) -> None:
    option = tmp_path / "mine" / "dataset" / "own.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("_target_: apm_exp.data.sources.jsonl.jsonl\npath: x.jsonl\nholdout: auto\nseed: 0\n")
    result = apm_exp(tmp_path, "--config-dir", "mine", "dataset=own", "model=tiny_from_data", "metric=implicit")
    assert result.returncode == 2
    lacks = "lacks limit, on_bad_row, chosen_reward, rejected_reward; add to it: limit: null; on_bad_row: refuse; "
    assert result.stderr.startswith(f"error: dataset=own: {option} {lacks}")
    assert result.stderr.count("\n") == 1


def test_missing_file(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "dataset=jsonl", "dataset.path=absent.jsonl", "model=tiny_from_data")
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: dataset.path=absent.jsonl: ")
    assert list(tmp_path.iterdir()) == []


def test_required_path(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "dataset=jsonl", "model=tiny_from_data")
    assert result.returncode == 2
    assert result.stderr.startswith("error: dataset.path is required: set dataset.path=VALUE")


def test_a_traceback_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.command.environment", lambda: {**_environment(), "HYDRA_FULL_ERROR": "1"})
    result = apm_exp(tmp_path, "alpha=-1")
    assert "Traceback" in result.stderr
    assert result.returncode == 2


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ) | {"HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize(
    ("arguments", "more"),
    [(["--help"], {"hydra", "pydantic"}), (["--version"], {"hydra", "pydantic"}), (["--cfg", "job"], {"pydantic"})],
)
def test_help_and_configuration_import_nothing_large(arguments: list[str], more: set[str], tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys; from apm_exp.__main__ import main\n"
        f"sys.argv = ['apm_exp', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"assert not {{'torch', 'transformers', 'wandb', 'datasets', *{sorted(more)!r}}} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, capture_output=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"), [(["--cfg", "job"], ""), (["task=status"], ""), (["--help"], "1")]
)
def test_output_that_cannot_be_written_is_named(arguments: list[str], unbuffered: str, tmp_path: Path) -> None:
    """It is another disk than that of the results, which output_root would not mend."""
    with open("/dev/full", "w") as full:
        line, env = command(*arguments), environment() | {"PYTHONUNBUFFERED": unbuffered}
        ended = subprocess.run(line, cwd=tmp_path, env=env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, "error: standard output: No space left on device\n")


def _processes_in(folder: Path) -> list[str]:
    """The commands of the processes whose working folder it is; none where the system does not say."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text())
    return found
