import pytest

from apm_exp.training.arguments import _warmup_steps, check_args, deepspeed_node, training_arguments
from apm_exp.training.batching import Batching
from apm_exp.training.task import Settings
from tests.training.cases import task, trainer


def settings(**changes) -> Settings:
    node = trainer(**changes)
    del node["_target_"]
    return Settings(**node)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_step", 3, r"^trainer.args.max_step=3: not a training argument; did you mean 'max_steps'\?$"),
        ("learning_rate", 1.0, r"^trainer.args.learning_rate=1.0: write trainer.learning_rate=1.0$"),
        ("per_device_train_batch_size", 2, ": write runtime.pairs_per_device=2; the pairs of an "),
        ("ignore_data_skip", True, "would drop pairs"),
        (
            "dataloader_drop_last",
            True,
            "the order of pairs and the batches are fixed$",
        ),
        ("train_sampling_strategy", "sequential", "order of pairs and the batches are fixed"),
        (
            "label_smoothing_factor",
            0.4,
            r"^trainer.args.label_smoothing_factor=0.4: write loss=cdpo loss.label_smoothing=0.4$",
        ),
        ("ddp_backend", "zzz", r"^trainer.args.ddp_backend=zzz: input should be 'gloo', 'nccl', 'mpi' or 'ucc'"),
        ("eval_steps", 4, r"^trainer.args.eval_steps=4: write evals=\[held_out_pairs\]; evaluations run after"),
    ],
)
def test_args_that_cannot_be(name, value, message):
    with pytest.raises(ValueError, match=message):
        check_args({name: value})


def test_a_value_that_transformers_refuses_is_one_line(tmp_path, tiny_policy, scored):
    given = task(tmp_path, tiny_policy, scored)
    with pytest.raises(ValueError, match=r"^trainer: .*SchedulerType") as error:
        training_arguments(settings(lr_scheduler="cosinus"), given, Batching(4, 1, 1, 3), "cpu")
    assert "\n" not in str(error.value)


def test_our_settings_arrive(tmp_path, tiny_policy, scored):
    given = task(tmp_path, tiny_policy, scored)
    ours = settings(warmup_ratio=0.1, args={"lr_scheduler_kwargs": {}})
    made = training_arguments(ours, given, Batching(2, 3, 1, 25), "cpu")
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (2, 3)
    assert made.get_warmup_steps(25) == 3  # 10% of 25 steps, rounded up
    assert (made.learning_rate, made.seed, made.use_cpu, made.bf16) == (1e-3, 1, True, False)
    assert made.report_to == []


def test_deepspeed_clips_as_the_trainer_says_though_its_own_file_says_nothing() -> None:
    assert deepspeed_node({"bf16": {}}) == {"gradient_clipping": "auto", "bf16": {}}
    assert deepspeed_node({"gradient_clipping": 2.0}) == {"gradient_clipping": 2.0}  # transformers compares them


@pytest.mark.parametrize(
    ("ratio", "steps", "expected"), [(0.1, 1, 0), (0.1, 9, 0), (0.1, 10, 1), (0.1, 188, 19), (0.0, 50, 0)]
)
def test_a_warmup_shorter_than_a_step_is_none(ratio: float, steps: int, expected: int) -> None:
    assert _warmup_steps(ratio, steps) == expected
