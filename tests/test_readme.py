"""The README and the docs promise only commands that exist, and the README's commands do what they say."""

import json
import re
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from apm_exp.cli.arguments import prepare
from apm_exp.core.types import Policy
from tests.command import apm_exp, folders
from tests.test_configs import compose

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "extending")]
NOT_RUN = {  # these lines are composed and checked only
    "python -m apm_exp model=gemma2_9b_it dataset=gemma2_ultrafeedback_armorm loss=simpo": "a 9B model of the Hub",
    "python -m apm_exp deepspeed=zero2": "run by training/test_deepspeed.py",
    "python -m apm_exp -m metric=map,uniform seed=0,1,2": "as the line with three metrics, which is run",
    "python -m apm_exp trainer=trl": "run by training/test_trl_reference.py",
    "python -m apm_exp metric=map alpha=2.5": "a job of the line with three metrics, which is run",
    "python -m apm_exp loss=ipo": "as loss=simpo, which is run; the loss by training/test_every_loss.py",
    "python -m apm_exp seed=1 tracking=none": "as the first line, which is run; seeds by test_main_job.py",
    "python -m apm_exp task=export run=latest": "run by report/export",
    "python -m apm_exp task=plan runtime.plan_for=h100 model=gemma2_9b_it dataset=gemma2_ultrafeedback_armorm "
    "loss=simpo model.adapter=lora trainer.gradient_checkpointing=true": "by jobs/plan/test_table3.py",
    "python -m apm_exp task=status": "as the line with a study, which is run",
    "python -m apm_exp -m metric=map,uniform seed=0,1,2 dataset=jsonl dataset.path=my_pairs.jsonl model=local "
    "model.path=./sft": "as the line with three metrics, and the one with one's own pairs, which are run",
}
SMALL = ["dataset.prompts=60", "model.steps=30", "evals=held_out_pairs", "tracking=none"]
OWN = ["dataset.holdout=0.2", "tokens.max_length=64", "tokens.max_prompt_length=32", "tracking=none"]


def commands(*pages: Path) -> list[str]:
    """Every `python -m apm_exp ...` line of the pages, once; `...` at the end stands for more of the user's own."""
    found: dict[str, None] = {}
    for page in pages:
        text = page.read_text()
        lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
        for line in [*re.findall(r"`(python -m apm_exp[^`]*)`", text), *lines]:
            match = re.search(r"python -m apm_exp( .*)?$", line)
            if match and "..." not in match[0]:
                found[match[0]] = None
    return list(found)


def to_run() -> list[str]:
    """The README's lines; multiruns first, since they leave what single lines then find."""
    lines = [line for line in commands(README) if line not in NOT_RUN and "--help" not in line]
    return sorted(lines, key=lambda line: not is_multirun(line))


def is_multirun(line: str) -> bool:
    return "apm_exp -m " in line or "sweeps=" in line


def made_small(line: str) -> list[str]:
    """The line's arguments, and those that make it small where it does not set them itself."""
    arguments = shlex.split(line)[3:]
    given = {argument.partition("=")[0] for argument in arguments}
    more = OWN if "dataset=jsonl" in arguments else SMALL
    arguments = ["keep.k=20" if a.startswith("keep.k=") else a for a in arguments]  # the small world has 55 pairs
    fewer = ["hydra.sweeper.params.alpha='0.5,2.5'"] if "sweeps=alpha" in arguments else []
    return arguments + [setting for setting in more if setting.partition("=")[0] not in given] + fewer


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, tiny_policy: Policy) -> Path:
    """A folder with the files that the README's lines name; what they build is shared by all of them."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(tiny_policy.folder, folder / "sft")
    words = ("red", "green", "old", "small", "large", "never", "always")
    rows = [
        {"prompt": f"name {count} fruit", "chosen": f"{word} apple", "rejected": f"{word} pear plum"}
        | {"chosen_reward": 1.0 + count, "rejected_reward": 0.5 * count}
        for count, word in enumerate(f"{one} {two}" for one in words for two in words)
    ]
    (folder / "my_pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_readme_has_the_two_commands_of_a_newcomer() -> None:
    text = README.read_text()
    assert "pip install -e . && python -m apm_exp\n" in text
    assert "pip install -e '.[test]' && python -m pytest -n 2\n" in text
    assert len(text.splitlines()) <= 200


@pytest.mark.parametrize("command", commands(*PAGES))
def test_every_command_composes(command: str, tmp_path: Path) -> None:
    arguments = shlex.split(command)[3:]
    if "--help" in arguments:
        assert apm_exp(tmp_path, *arguments).returncode == 0
    else:
        overrides = [a for a in prepare(arguments) if a not in ("-m", "--multirun")]
        compose(*[re.sub(r"=([^,\[]+),.*", r"=\1", override) for override in overrides])


def test_the_lines_that_are_not_run_are_in_the_readme() -> None:
    assert set(NOT_RUN) <= set(commands(README))


@pytest.fixture(scope="module")
def ran(desk: Path) -> dict[str, CompletedProcess[str]]:
    """How each line ended. Two at a time; a rebuild, which takes away what others read, comes last and alone."""
    alone = [line for line in to_run() if "rebuild=" in line]
    together = [line for line in to_run() if line not in alone]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda line: apm_exp(desk, *made_small(line)), together))
    results += [apm_exp(desk, *made_small(line)) for line in alone]
    return dict(zip([*together, *alone], results, strict=True))


@pytest.mark.parametrize("command", to_run())
def test_every_command_runs(command: str, ran: dict[str, CompletedProcess[str]], desk: Path) -> None:
    result = ran[command]
    assert result.returncode == 0, result.stderr
    if "task=plan" in command:
        assert "policy" in result.stdout
        return
    if "task=status" in command:
        assert re.search(r"alpha-[0-9a-f]{8}", result.stdout)
        return
    last = result.stderr.strip().splitlines()[-1]
    pages = re.findall(r"^(?:.* \| )?report: ([^|\n]+?)(?: \|.*)?$", result.stderr, re.MULTILINE)
    assert (desk / pages[-1]).is_file(), result.stderr
    if is_multirun(command):
        assert re.match(r"(\d+) of \1 jobs done", last), last
    if "rebuild=policy" in command:
        assert re.search(r"^policy +[\d.]+ s ", result.stderr, re.MULTILINE)
        assert re.search(r"^\d+ steps reused: .*\blogps\b", result.stderr, re.MULTILINE)


def test_a_multirun_shares_what_it_can_and_reports_its_arms(ran: dict[str, CompletedProcess[str]], desk: Path) -> None:
    assert len(ran) == len(to_run())
    arms = "metric=map,explicit,uniform alpha=0.5,2.5"
    (told,) = (p for p in (desk / "outputs" / "sweeps").glob("*/command.txt") if arms in p.read_text())
    jobs = [json.loads((told.parent / "jobs" / f"{number}.json").read_text()) for number in range(6)]
    policies = {(job["swept"]["metric"], job["swept"]["alpha"]): job["policy_key"] for job in jobs}
    assert list(policies) == [(metric, alpha) for metric in ("map", "explicit", "uniform") for alpha in ("0.5", "2.5")]
    assert policies["map", "0.5"] != policies["map", "2.5"]
    assert policies["explicit", "0.5"] == policies["explicit", "2.5"]
    assert policies["uniform", "0.5"] == policies["uniform", "2.5"]
    assert len([folder for folder in folders(desk, "logps") if "micro_world" in folder.name]) == 1
    assert (told.parent / "report.html").read_text().count("uniform") >= 2
