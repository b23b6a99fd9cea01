"""The estimate of a training's memory: by hand on small numbers, and held to torch where torch can be asked."""

from dataclasses import replace
from pathlib import Path

import pytest

from apm_exp.core.types import Policy
from apm_exp.jobs.plan.memory import activations, check
from apm_exp.jobs.plan.memory.adapted import Frozen, adapt
from apm_exp.jobs.plan.memory.check import check_before_work
from apm_exp.jobs.plan.memory.device import available_memory
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.fits import changes, fits, problem
from apm_exp.jobs.plan.memory.shape import shape_of_node
from apm_exp.jobs.plan.memory.states import optimizer_bytes, states_of
from apm_exp.jobs.plan.memory.training import Training
from apm_exp.models.shape import _shape_of_modules, empty_llama, llama, shape_of_folder
from apm_exp.pipeline.stages.logps import longest_pair
from apm_exp.training.adapters.preflight import adapter_of
from tests.architectures import tiny
from tests.command import apm_exp
from tests.pipeline.test_graph import steps_of
from tests.test_configs import compose

MIB = 2**20
SHAPE = llama(hidden=4, layers=2, heads=2, intermediate=8, vocabulary=10, tied=True)
ON_CPU = Training(
    shape=SHAPE,
    device="cpu",
    dtype="float32",
    optimizer="adamw_torch",
    checkpointing=False,
    padded=False,
    global_batch=8,
    pairs_per_device=4,
    processes=1,
    zero=None,
    offload=frozenset(),
    live=10**9,
    pairs=((3, 2, 2), (1, 2, 2)),
    bound=False,
)
N = 2 * (4 * 4 * 4 + 3 * 4 * 8) + 10 * 4 + 5 * 4  # two layers, the embedding, five norms


def test_parameters_by_hand() -> None:
    assert (SHAPE.parameters, SHAPE.trainable, SHAPE.largest) == (N, N, 40)


def test_the_shape_of_a_folder_is_that_of_its_weights(tiny_policy: Policy) -> None:
    from safetensors import safe_open

    with safe_open(tiny_policy.folder / "model.safetensors", framework="np") as weights:
        stored = sum(weights.get_tensor(name).size for name in weights.keys())  # noqa: SIM118
    found = shape_of_folder(tiny_policy.folder, False)
    assert found.parameters == stored
    assert found == llama(
        hidden=32, layers=2, heads=4, intermediate=64, vocabulary=found.vocabulary, tied=False, key_heads=2
    )


def test_the_micro_worlds_shape_is_that_of_the_model_that_it_builds(tmp_path: Path) -> None:
    from apm_exp.core import component
    from apm_exp.pipeline.stages.model import _parameters

    node = dict(compose("model.steps=1", "model.batch=1")["model"])
    expected = shape_of_node(node)
    loading = ("dtype", "attention", "trust_remote_code", "chat_template")
    component.bind("model", {name: value for name, value in node.items() if name not in loading})(tmp_path)
    assert expected is not None
    assert expected.parameters == _parameters(tmp_path)
    assert expected == shape_of_folder(tmp_path, False)


def test_a_builder_of_ones_own_has_no_shape_yet() -> None:
    assert shape_of_node({"_target_": "mine.model.build", "hidden": 3}) is None


def test_what_training_without_deepspeed_keeps_is_float32() -> None:
    states = states_of(replace(ON_CPU, dtype="bfloat16"))
    assert (states.weights, states.gradients, states.optimizer, states.master) == (4 * N, 4 * N, 8 * N, 0)
    assert states.working == 2 * 4 * 40
    assert states_of(replace(ON_CPU, processes=2)).gradients == 8 * N  # the buckets of DistributedDataParallel


@pytest.mark.parametrize(
    ("stage", "weights", "gradients", "optimizer"),
    [(1, 2 * N, 2 * N, 2 * N), (2, 2 * N, N // 2, 2 * N), (3, N // 2 + 2 * N, N // 2, 2 * N)],
)
def test_zero_divides_among_four_ranks(stage: int, weights: int, gradients: int, optimizer: int) -> None:
    states = states_of(replace(ON_CPU, dtype="bfloat16", processes=4, zero=stage))
    assert (states.weights, states.gradients, states.optimizer) == (weights, gradients, optimizer)
    assert states.master == 4 * -(-N // 4)
    away = states_of(replace(ON_CPU, dtype="bfloat16", processes=4, zero=stage, offload=frozenset({"optimizer"})))
    assert (away.optimizer, away.master, away.working) == (0, 0, 0)
    assert away.host == states.optimizer + states.master + states.working


@pytest.mark.parametrize(
    ("name", "size"), [("adamw_torch_fused", 8 * N), ("paged_adamw_8bit", 2 * N), ("sgd", 0), ("rmsprop", 4 * N)]
)
def test_optimizers_by_name(name: str, size: int) -> None:
    assert optimizer_bytes(replace(ON_CPU, optimizer=name)) == size


def test_adafactor_keeps_a_row_and_a_column_of_each_matrix() -> None:
    factored = 2 * (4 * (4 + 4) + 3 * (4 + 8)) + (10 + 4) + 5 * 4
    assert optimizer_bytes(replace(ON_CPU, optimizer="adafactor")) == 4 * factored


def test_activations_by_hand() -> None:
    tokens = (3 + 2 + 2 - 2) + (1 + 2 + 2 - 2)  # the last token of a response is only predicted
    assert activations.tokens_of(ON_CPU) == tokens == 8
    of_layer = tokens * 4 * (6 * 4 + 5 * 4 + 4 * 8 + 2)
    assert activations.layer(ON_CPU) == of_layer
    assert activations.kept(ON_CPU) == 2 * of_layer + 3 * 4 * 4 * tokens
    again = replace(ON_CPU, checkpointing=True)
    assert activations.kept(again) == 2 * 4 * 4 * tokens + 3 * 4 * 4 * tokens
    assert activations.laid_out(again) - activations.laid_out(ON_CPU) == of_layer


def test_the_head_lays_out_a_block_of_logits_and_not_all() -> None:
    wide = llama(hidden=4, layers=1, heads=1, intermediate=4, vocabulary=100_000, tied=False)
    long = replace(ON_CPU, shape=wide, pairs=((1, 1000, 1000),) * 4)
    assert activations.output_head(long) == 4 * 512 * 4096 + 4 * 100_000 * 4 + 8 * 8000 * 4
    assert activations.output_head(replace(long, padded=True)) == 12 * (8 * 1001) * 100_000


def test_the_constants_are_the_forwards_own() -> None:
    from apm_exp.models.forward import output_head, row

    assert (activations.BLOCK, activations.TILE) == (output_head.BLOCK, row.TILE)


def test_saved_tensors_are_what_autograd_keeps() -> None:
    """A layer's activations against the bytes that autograd really holds for the backward, weights left out."""
    import torch

    from apm_exp.core.types import TokenizedPair
    from apm_exp.models.pair_forward import pair_forward
    from tests.benchmarks.model_shape import random_llama

    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 160}
    lengths = ((40, 60, 50), (90, 70, 30))
    pairs = [TokenizedPair(*([5] * count for count in each)) for each in lengths]

    def held(layers: int) -> int:
        shape = {**sizes, "num_hidden_layers": layers, "vocab_size": 60, "tie_word_embeddings": False}
        model = random_llama(shape, torch.float32, "cpu").train()
        weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
        storages: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            pair_forward(model, pairs)
        return sum(storage.nbytes() for pointer, storage in storages.items() if pointer not in weights)

    shape = llama(hidden=64, layers=1, heads=4, intermediate=160, vocabulary=60, tied=False, key_heads=2)
    training = replace(ON_CPU, shape=shape, pairs=lengths)
    assert activations.layer(training) == pytest.approx(held(3) - held(2), rel=0.05)


def test_the_peak_is_the_largest_moment() -> None:
    one = estimate(replace(ON_CPU, device="cuda", global_batch=4))
    moments = [4 * N + 8 * N + one.activations + one.head, 4 * N + 8 * N + 4 * N + 4 * N]
    assert one.total == max(moments)
    with_accumulation = estimate(replace(ON_CPU, device="cuda"))
    assert with_accumulation.total == moments[0] + 4 * N


GEMMA = replace(  # as of its shape, with LoRA of rank 16
    llama(hidden=3584, layers=42, heads=16, intermediate=14336, vocabulary=256_000, tied=True),
    **{"parameters": 9_241_705_984, "trainable": 54_018_048, "attended": 4096, "shared": 2048, "scored": True},
)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_peak_is_what_the_rows_explain(device: str, checkpointing: bool) -> None:
    """LoRA in bfloat16 on 9 billion weights: nothing of tensors above 32 MiB stays behind in holes."""
    widths = (4096, 2048, 2048, 3584, 14336, 14336, 3584)
    frozen = Frozen(weights=2 * 9_241_705_984, a_token=42 * 7 * 64, results=tuple(2 * width for width in widths) * 42)
    large = replace(ON_CPU, shape=GEMMA, frozen=frozen, device=device, dtype="bfloat16", checkpointing=checkpointing)
    one = estimate(replace(large, pairs=((1800, 248, 248),) * 4))
    states = one.states
    rows = states.weights + states.gradients + states.optimizer + states.master + one.activations + one.head
    assert one.total <= rows + states.working + one.holes
    assert one.holes < 0.1 * one.total
    if device == "cuda":
        assert one.total == rows - (0 if large.accumulates else states.gradients)


LARGE = replace(
    ON_CPU,
    shape=llama(hidden=2048, layers=16, heads=32, intermediate=8192, vocabulary=128_256, tied=True),
    pairs=((200, 900, 900),) * 4,
)


def test_the_smallest_change_that_fits_is_named() -> None:
    needed = estimate(LARGE).needed
    assert problem(LARGE, needed, None) is None
    less = problem(LARGE, needed - 1, None)
    assert less is not None
    assert less.endswith("the smallest change that fits: trainer.gradient_checkpointing=true")
    checkpointed = estimate(replace(LARGE, checkpointing=True)).needed
    named = problem(LARGE, checkpointed - 1, None)
    assert named is not None
    assert "runtime.pairs_per_device=" in named.partition("the smallest change that fits: ")[2]
    for text, changed in changes(LARGE):
        assert text
        assert estimate(changed).needed < needed


def test_more_gpus_are_named_where_one_cannot_hold_the_states() -> None:
    gpu = replace(LARGE, device="cuda", dtype="bfloat16", global_batch=128)
    text = problem(gpu, 10 * 2**30, None)
    assert text is not None
    assert "deepspeed=zero" in text.partition("the smallest change that fits: ")[2]
    assert "runtime.processes=" in text
    none = problem(gpu, 2**30, None)
    assert none is not None
    assert none.endswith("no smaller batch or more processes would fit")


def test_the_ranks_of_a_cpu_share_its_memory() -> None:
    two = replace(LARGE, processes=2)
    assert not fits(two, estimate(two).needed + 1, None)
    assert fits(two, 2 * estimate(two).needed, None)
    assert fits(replace(two, nodes=2), estimate(two).needed, None)  # one on each machine


def test_the_longest_pair_that_settings_allow() -> None:
    given, sampled = steps_of("model=micro_world", "dataset=jsonl", "tokens.max_length=100"), steps_of()
    assert longest_pair({**given["logps"].inputs, "tokens": {"max_length": 100}}) == (1, 99, 99)
    tokens = {"max_length": 100, "max_prompt_length": 50}
    assert longest_pair({**sampled["logps"].inputs, "tokens": tokens}) == (
        50,
        25,
        25,
    )  # 24 new ones and an end


def test_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000 kB\nMemAvailable:    2000 kB\n")
    assert available_memory(meminfo, tmp_path) == 2000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(meminfo, tmp_path) == 2000 * 1024
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\n")
    assert available_memory(meminfo, tmp_path) == 700_000
    assert available_memory(tmp_path / "absent", tmp_path) is None


def test_the_smallest_of_the_gpus_that_are_visible_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apm_exp.jobs.plan.memory.device import device_memory

    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0, GPU-aa, 1000\\n1, GPU-bb, 500\\n2, GPU-cc, 800\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device_memory("cuda") == 500 * MIB
    assert device_memory("cuda:2") == 800 * MIB
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,2")
    assert device_memory("cuda") == 800 * MIB
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_memory("cuda") is None


def test_a_run_that_cannot_fit_is_one_line_before_any_work(tmp_path: Path) -> None:
    result = apm_exp(tmp_path, "model.hidden=16384", "model.layers=64", "model.heads=64", "model.feed_forward=65536")
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: runtime.pairs_per_device=8: the training needs about ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_plan_shows_memory_and_the_disk_of_a_sweep_once(tmp_path: Path) -> None:
    shown = apm_exp(tmp_path, "-m", "task=plan", "seed=0,1", "trainer.save_every=10").stdout
    assert shown.count("162,752 parameters, 162,752 of them trained, kept in float32") == 1
    assert shown.splitlines()[-1].startswith("all 2 jobs, what they share counted once: disk: ")
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_is_not_refused_for_the_memory_of_all_weights() -> None:
    # 34e9 weights: some 18 GiB in 2 bytes would fit, with gradients and optimizer states in float32 they would not.
    large = [
        "model.hidden=4096",
        "model.layers=8",
        "model.heads=32",
        "model.feed_forward=65536",
        "model.dtype=bfloat16",
    ]
    with pytest.raises(ValueError, match=r"^runtime\.pairs_per_device=8: the training needs about "):
        check_before_work(compose(*large))
    check_before_work(compose(*large, "adapter=lora"))


@pytest.mark.parametrize(("name", "bytes_of_a_linear_weight"), [("lora", 4), ("qlora", 0.5 + 1 / 64 + 4 / 64 / 256)])
def test_what_an_adapter_trains_by_hand(name: str, bytes_of_a_linear_weight: float) -> None:
    given = adapter_of(compose(f"adapter={name}", "adapter.rank=2")["adapter"])
    assert given is not None
    shape, frozen = adapt(SHAPE, empty_llama(SHAPE), given, 4)
    a_layer = 4 * 2 * (4 + 4) + 3 * 2 * (4 + 8)  # A and B of query, key, value, output; of gate, up, down
    assert (shape.parameters, shape.trainable, shape.largest) == (N, 2 * a_layer, 2 * 8)
    linear = 2 * (4 * 4 * 4 + 3 * 4 * 8)
    assert frozen.weights == 4 * (N - linear) + int(bytes_of_a_linear_weight * linear)
    assert frozen.a_token == 2 * 7 * 2 * 4  # two numbers of float32 leave each A
    assert sum(frozen.results) == 2 * 4 * (4 * 4 + 2 * 8 + 4)  # query, key, value, output; gate, up; down

    training = replace(ON_CPU, shape=shape, frozen=frozen)
    states = states_of(training)
    assert states.weights == frozen.weights + 4 * shape.trainable
    assert (states.gradients, states.optimizer) == (4 * shape.trainable, 8 * shape.trainable)
    more = activations.layer(training) - activations.layer(ON_CPU)
    assert more == activations.tokens_of(ON_CPU) * 7 * 2 * 4
    assert (
        activations.output_head(ON_CPU) - activations.output_head(training) == 4 * 10 * 4
    )  # no gradient of its weight


@pytest.mark.parametrize("model_type", ["mixtral", "qwen3_moe", "olmoe", "deepseek_v3"])
def test_experts_beside_an_adapter(model_type: str) -> None:
    """Their weights lie in one tensor a layer, which no linear layer holds."""
    model = tiny(model_type)
    shape = _shape_of_modules(model, model.config)
    given = adapter_of(compose("adapter=lora", "adapter.rank=2")["adapter"])
    assert given is not None
    changed, frozen = adapt(shape, model, given, 4)
    assert 0 < changed.trainable < shape.parameters
    assert frozen.weights == 4 * shape.parameters


def test_an_estimate_that_fails_is_one_warning_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*given: object) -> None:
        raise AttributeError("'Experts' object has no attribute 'weight'")

    monkeypatch.setattr(check, "adapt", fails)
    for _ in range(2):
        check_before_work(compose("adapter=lora"))
    assert [record.getMessage() for record in caplog.records] == [
        "no estimate of the training's memory (AttributeError: 'Experts' object has no attribute 'weight'); "
        "whether it fits will be seen"
    ]
    with pytest.raises(ValueError, match=r"^model.adapter.target_modules="):
        check_before_work(compose("adapter=lora", "adapter.target_modules=[nonesuch]"))
