"""The table of hints, whole: each row can be reached, and what it says to write is accepted."""

import dataclasses
from collections import Counter

import pytest

from apm_exp.core.hints import _table, hint_for_option, hint_for_setting, hint_for_value
from apm_exp.jobs.checks.settings import check_config
from tests.test_configs import compose

PLACEHOLDERS = {
    "N": "8",
    "SHARE": "0.1",
    "FOLDER": "x",
    "FILE": "x.jsonl",
    "OWNER/NAME": "a/b",
    "RATIO": "0.5",
    "NAME": "x",
}
VALUES = {  # of settings that take no 1
    "adam_beta1": "0.9",
    "adam_beta2": "0.9",
    "lr_scheduler": "linear",
    "optimizer": "sgd",
    "lr_scheduler_kwargs": "{num_cycles: 2}",
    "gradient_checkpointing_kwargs": "{use_reentrant: false}",
    "optim_args": "'a=1'",
    "label_smoothing": "0.1",
    "dropout": "0.1",
    "holdout": "0.1",
    "device": "cpu",
    "loss": "ipo",
    **dict.fromkeys(("output_root", "path", "project", "entity", "revision", "split", "holdout_split", "subset"), "x"),
    **dict.fromkeys(("attention", "chat_template", "chosen_reward", "rejected_reward", "target_modules", "push"), "x"),
    **dict.fromkeys(("gradient_checkpointing", "torch_compile", "tf32", "trust_remote_code", "delete"), "true"),
    "optim_target_modules": "x",
    "double_quantization": "true",
    "deepspeed": "zero2",
    "dtype": "auto",
}
TYPED = (  # values, one of which each pattern of the table takes
    *("0.4", "40", "x.csv", "./a.jsonl", "owner/name", "true", "false", "anything", "topk", "wandb", "none", "m_ap"),
    *("adamw", "1", "zero2", "ds/zero1.json", "ds/zero3.json", "ds/config.json", "bf16", "fp16", "fp32", "8gpu"),
)


def entries() -> list[tuple[str, str, str | None, str]]:
    """Every row: section, name, the pattern of its value if it has one, and the hint as it stands in the table."""
    return [
        (section, name, pattern, text)
        for section in (*_table()["prefixes"], "options")
        for names, entry in _table()[section].items()
        for name in names.split("|")
        for pattern, text in (entry if isinstance(entry, list) else [(None, entry)])
    ]


def hints(section: str, name: str, value: str) -> set[str]:
    """The texts for a name with each of its prefixes: without one, it may be what the hint says."""
    if section == "options":
        return {str(hint_for_option(name, value))}
    return {str(hint_for_setting(f"{prefix}{name}", value)) for prefix in _table()["prefixes"][section]}


def settings(text: str) -> list[str]:
    """The settings of a row's hint, with a value for each placeholder."""
    if not text.startswith("write "):
        return []
    split = [word.partition("=") for word in text.removeprefix("write ").partition("; ")[0].split()]
    return [f"{key}={PLACEHOLDERS.get(value, _typed(key, value))}" for key, _, value in split]


def _typed(key: str, value: str) -> str:
    return VALUES.get(key.split(".")[-1], "1") if value == "{value}" else value


def batches() -> list[list[str]]:
    """What all rows say to write, in few configurations: one option of a group and one value of a setting in each."""
    made: list[dict[str, str]] = []
    for _, _, _, text in entries():
        pairs = {key.replace("model.adapter", "adapter"): value for key, _, value in map(_split, settings(text))}
        batch = next((batch for batch in made if _fits(pairs, batch)), None)
        made.append(pairs) if batch is None else batch.update(pairs)
    return [[f"{key}={value}" for key, value in batch.items()] for batch in made]


def _split(setting: str) -> tuple[str, str, str]:
    return setting.partition("=")


def _fits(pairs: dict[str, str], batch: dict[str, str]) -> bool:
    """Whether the settings neither have other values in the batch nor are those of another option."""
    chosen = [group for group in {**pairs, **batch} if "." not in group and pairs.get(group) != batch.get(group)]
    touched = [{key.lstrip("+").split(".")[0] for key in each} for each in (pairs, batch)]
    return all(batch.get(key, value) == value for key, value in pairs.items()) and not any(
        group in touched[0] and group in touched[1] for group in chosen
    )


@pytest.mark.parametrize("written", batches())
def test_what_hints_say_to_write_is_accepted(written: list[str]) -> None:
    groups = {setting.partition("=")[0] for setting in written}
    check_config(compose(*([] if "model" in groups else ["model=local"]), *written))


def test_every_row_is_reached_by_a_value_that_one_types() -> None:
    for section, name, pattern, text in entries():
        values = [*TYPED, *(pattern or "").split("|")]
        assert any(text.replace("{value}", value) in hints(section, name, value) for value in values), (name, pattern)


def test_a_name_has_one_hint() -> None:
    prefixes = _table()["prefixes"]
    typed: Counter[str] = Counter()
    for section, names in ((section, _table()[section]) for section in prefixes):
        typed.update(f"{prefix}{name}" for each in names for name in each.split("|") for prefix in prefixes[section])
    assert [name for name, times in typed.items() if times > 1] == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("bf16=true", "write model.dtype=bfloat16"),
        ("fp16=True", "write model.dtype=float16"),
        ("bf16=false", "write model.dtype=float32"),
        ("trainer.args.bf16=true", "write model.dtype=bfloat16"),
        ("model.dtype=bf16", "write model.dtype=bfloat16"),
        ("model.torch_dtype=torch.bfloat16", "write model.dtype=bfloat16"),
        (
            "trainer.per-device-train-batch-size=4",
            "write runtime.pairs_per_device=4; the pairs of an optimizer step are ",
        ),
        ("PER_DEVICE_TRAIN_BATCH_SIZE=4", "write runtime.pairs_per_device=4; "),
        ("trainer.gradient_accumulation_steps=8", "write trainer.global_batch=N; trainer.global_batch is devices x "),
        ("report_to=[wandb]", "write tracking=wandb"),
        ("report_to=none", "write tracking=none"),
        ("resume=true", "type the same command again; it resumes from the newest checkpoint by itself"),
        ("lora_r=8", "write model.adapter=lora model.adapter.rank=8"),
        ("model.adapter.r=8", "write model.adapter=lora model.adapter.rank=8"),
        ("loss_type=sigmoid", "write loss=dpo"),
        ("loss.gamma=1", "write loss=simpo loss.gamma_beta_ratio=RATIO; SimPO's margin is set as gamma / beta"),
        ("trainer.args.max_steps=5", "write +trainer.args.max_steps=5"),
        ("keep.k=100", "write keep=top_k keep.k=100"),
        ("dataset_name=~/x.jsonl", "write dataset=jsonl dataset.path=~/x.jsonl"),
        ("dataset_name=a/b", "write dataset=hub dataset.path=a/b"),
    ],
)
def test_what_is_typed_and_what_is_meant(typed: str, meant: str) -> None:
    name, _, value = typed.partition("=")
    assert str(hint_for_setting(name, value)).startswith(meant)


@pytest.mark.parametrize(
    "typed", ["trainer.learning_rate=1e-6", "+trainer.args.max_steps=5", "model.dtype=auto", "nope=1"]
)
def test_what_is_right_and_what_is_unknown_have_no_hint(typed: str) -> None:
    name, _, value = typed.partition("=")
    assert hint_for_setting(name, value) is None


def test_an_invalid_value_has_no_hint_that_repeats_it() -> None:
    assert hint_for_value("loss.label_smoothing", "7") is None
    assert str(hint_for_value("model.dtype", "half")) == "write model.dtype=float16"


def test_all_of_trls_arguments_have_a_hint_or_are_passed_on() -> None:
    """A new argument of TRL needs one more row. The seed has its own name, and a token is refused as a secret."""
    from trl import DPOConfig, ModelConfig, ScriptArguments  # takes seconds

    from apm_exp.training.passed import PASSED

    names = {field.name for kind in (DPOConfig, ModelConfig, ScriptArguments) for field in dataclasses.fields(kind)}
    assert {name for name in names - PASSED if hint_for_setting(name, "1") is None} == {
        "seed",
        "hub_token",
        "deepspeed",
    }
