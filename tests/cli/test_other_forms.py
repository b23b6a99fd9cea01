"""Settings typed in the form of other programs: the line says what to type here."""

import pytest

from apm_exp.cli.arguments import UsageLine, prepare

DASHES, SPACES = "settings are typed without dashes", "settings are typed with = and without spaces"


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("--alpha=2.5", f"--alpha=2.5: {DASHES}; write alpha=2.5"),
        ("--alpha 2.5", f"--alpha 2.5: {DASHES}; write alpha=2.5"),
        ("--metric.seed -1", f"--metric.seed -1: {DASHES}; write metric.seed=-1"),
        ("--learning-rate 1e-5", f"--learning-rate 1e-5: {DASHES}; write trainer.learning_rate=1e-5"),
        ("-lr 1e-5", f"-lr 1e-5: {DASHES}; write trainer.learning_rate=1e-5"),
        ("--model ./sft", f"--model ./sft: {DASHES}; write model=local model.path=./sft"),
        ("--loss sigmoid", f"--loss sigmoid: {DASHES}; write loss=dpo"),
        ("--loss simpo", f"--loss simpo: {DASHES}; write loss=simpo"),
        ("--bf16", f"--bf16: {DASHES}; write model.dtype=bfloat16"),
        ("--bf16 alpha=2", f"--bf16: {DASHES}; write model.dtype=bfloat16"),
        (
            "--resume_from_checkpoint x",
            f"--resume_from_checkpoint x: {DASHES}; type the same command again; it resumes ",
        ),
        (
            "--model_name_or_path a/b --use_peft --lora_r 8 --fp16 --report_to none",
            f"--model_name_or_path a/b --use_peft --lora_r 8 --fp16 --report_to none: {DASHES}; write model=local "
            "model.path=a/b model.adapter=lora model.adapter.rank=8 model.dtype=float16 tracking=none",
        ),
        ("--verbose", "--verbose: no such flag; flags: --help, "),
        ("--hub_token abcdef", "hub_token=...: looks like a secret; "),
        ("alpha 2.5", f"alpha 2.5: {SPACES}; write alpha=2.5"),
        ("alpha = 2.5", f"alpha = 2.5: {SPACES}; write alpha=2.5"),
        ("alpha =2.5", f"alpha =2.5: {SPACES}; write alpha=2.5"),
        ("alpha= 2.5", f"alpha= 2.5: {SPACES}; write alpha=2.5"),
        ("seed=1 bf16 true", f"bf16 true: {SPACES}; write model.dtype=bfloat16"),
        ("api_key abcdef", "api_key=...: looks like a secret; "),
        ("dataset=../x.parquet", "dataset=../x.parquet: not an option; write dataset=jsonl dataset.path=../x.parquet"),
        ("plan", "plan: a setting without a name; write task=plan"),
        ("clean", "clean: a setting without a name; write task=clean"),
        ("./x.jsonl", "./x.jsonl: a setting without a name; write dataset=jsonl dataset.path=./x.jsonl"),
        (
            "--config x.yaml",
            f"--config x.yaml: {DASHES}; put the settings into a file of your own and add --config-dir ",
        ),
        ("keep=0.4", "keep=0.4: not an option; write keep.fraction=0.4"),
        ("keep=100", "keep=100: not an option; write keep=top_k keep.k=100"),
        ("deepspeed=ds/zero3.json", "deepspeed=ds/zero3.json: not an option; write deepspeed=zero3; settings of "),
        ("tracking=false", "tracking=false: not an option; write tracking=none"),
    ],
)
def test_the_line_says_what_to_type(typed: str, line: str) -> None:
    with pytest.raises(UsageLine) as caught:
        prepare(typed.split())
    assert str(caught.value).startswith(line)
    assert "abcdef" not in str(caught.value)
