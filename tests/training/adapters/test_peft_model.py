"""LoRA beside frozen weights: what is trained, what is saved, and that a killed training goes on bit by bit."""

from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from apm_exp.models.load import load_model
from apm_exp.models.pair_forward import pair_forward
from apm_exp.models.preflight import preflight
from apm_exp.training import finish, run
from apm_exp.training.adapters.peft_model import linear_layers, with_adapter
from apm_exp.training.adapters.preflight import adapter_of, check_layers
from apm_exp.training.load_model import model_for_training
from apm_exp.training.metrics_file import read_rows
from tests.architectures import tiny
from tests.training.adapters.nodes import adapter
from tests.training.cases import task, trained

LORA = adapter("lora", rank=4, alpha=8.0, dropout=0.1)
FAST = {"learning_rate": 1e-2, "epochs": 2, "save_every": 2}
LAYERS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def in_training(policy, node=LORA):
    settings = {"deepspeed": False, "gradient_checkpointing": False, "seed": 1}
    return model_for_training(policy, "cpu", adapter=adapter_of(node), compiled=False, **settings)


def logps(model, pairs):
    with torch.inference_mode():
        found = pair_forward(model.eval(), pairs)
    return torch.cat([found.chosen_logp_B, found.rejected_logp_B])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_policy, scored, tiny_pairs):
    """The folder of 6 steps that nothing interrupted, and the log-probs of the live model at their end."""
    out, live = tmp_path_factory.mktemp("lora") / "whole", []

    def watched(model, pair):
        live.append(logps(model, tiny_pairs))
        return finish.logps_of(model, pair)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "logps_of", watched)
        trained(task(out, tiny_policy, scored, adapter=LORA), **FAST)
    return out, live[0]


def test_only_the_adapter_gets_gradients_and_of_every_layer(tiny_policy, tiny_pairs):
    """A (4 x inputs) and B (outputs x 4) of 7 layers in each of 2 blocks; B's gradient at the start is not zero."""
    model = in_training(tiny_policy)
    pair_forward(model, tiny_pairs).chosen_logp_B.sum().backward()
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(learning) == 2 * 2 * 7
    assert all(".lora_" in name for name in learning)
    assert all(p.grad is None for name, p in model.named_parameters() if name not in learning)
    assert all(p.grad.norm() > 0 for name, p in learning.items() if "lora_B" in name)
    inputs_and_outputs = 4 * (32 + 32) + 2 * (32 + 16) + 2 * (32 + 64) + (64 + 32) - 2 * (32 + 32)
    assert sum(p.numel() for p in learning.values()) == 2 * 4 * inputs_and_outputs


def test_starts_as_the_policy_that_was_scored(whole):
    """So DPO's first loss is log 2; the check of the first step has passed."""
    rows = read_rows(whole[0] / "metrics.jsonl")
    assert abs(rows[0]["loss"] - 0.6931472) < 1e-5
    assert rows[-1]["loss"] < 0.65
    assert rows[-1]["rewards/margins"] > 0.1


def test_the_merged_policy_is_the_live_one_and_differs_from_the_start_in_the_adapted_layers_alone(
    whole, tiny_policy, tiny_pairs
):
    out, live = whole
    merged = load_model(replace(tiny_policy, folder=out / "final"), "cpu")
    torch.testing.assert_close(logps(merged, tiny_pairs), live, atol=1e-5, rtol=1e-5)
    start = load_model(tiny_policy, "cpu")
    assert (logps(start, tiny_pairs) - live).abs().max() > 0.1
    before, after = (dict(model.named_parameters()) for model in (start, merged))
    assert before.keys() == after.keys()
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == LAYERS


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own call
def test_the_adapter_is_pefts_own_folder(whole, tiny_policy, tiny_pairs):
    out, live = whole
    names = {path.name for path in (out / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert not names & {"model.safetensors", "training_args.bin", "README.md"}
    weights = load_file(out / "adapter" / "adapter_model.safetensors")
    assert len(weights) == 28
    assert all(weight.numel() for weight in weights.values())
    model = PeftModel.from_pretrained(load_model(tiny_policy, "cpu"), str(out / "adapter"))
    torch.testing.assert_close(logps(model, tiny_pairs), live, atol=1e-5, rtol=1e-5)


def test_stopped_and_started_again_ends_with_the_same_bits(whole, tmp_path, tiny_policy, scored):
    """Stopped after step 3; the checkpoint of step 2 has the adapter, its optimizer's state and dropout's."""

    def stop(row):
        if row["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(task(tmp_path, tiny_policy, scored, adapter=LORA, log=stop), **FAST)
    assert not (tmp_path / "checkpoints" / "checkpoint-2" / "model.safetensors").exists()
    again = []
    trained(task(tmp_path, tiny_policy, scored, adapter=LORA, log=again.append), **FAST)
    assert [row["step"] for row in again] == [3, 4, 5, 6]
    for name in ("final/model.safetensors", "adapter/adapter_model.safetensors"):
        assert (tmp_path / name).read_bytes() == (whole[0] / name).read_bytes()


def test_gradient_checkpointing_changes_nothing(whole, tmp_path, tiny_policy, scored):
    rows = trained(task(tmp_path, tiny_policy, scored, adapter=LORA), gradient_checkpointing=True, **FAST)
    expected = read_rows(whole[0] / "metrics.jsonl")
    for name in ("loss", "grad_norm"):
        torch.testing.assert_close([r[name] for r in rows], [r[name] for r in expected], atol=1e-5, rtol=1e-5)


def test_frozen_weights_stay_in_the_policys_dtype_and_the_adapter_is_float32(tmp_path, tiny_policy, scored):
    rough = replace(tiny_policy, dtype="bfloat16")
    model = in_training(rough)
    kinds = {p.requires_grad: p.dtype for p in model.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    rows = trained(task(tmp_path, rough, scored, adapter=LORA), **FAST)
    assert rows[-1]["loss"] < 0.65
    assert {w.dtype for w in load_file(tmp_path / "final" / "model.safetensors").values()} == {torch.bfloat16}


def test_weights_that_were_not_saved_whole_are_an_error(tmp_path, tiny_policy, scored, monkeypatch):
    """An adapter whose B matrices are zero is the starting policy, not the trained one."""
    save = run.save_final

    def emptied(trainer, policy, folder):
        learned = [p for name, p in trainer.model.named_parameters() if "lora_B" in name]
        kept = [p.data for p in learned]
        for p in learned:
            p.data = torch.zeros_like(p)
        save(trainer, policy, folder)
        for p, values in zip(learned, kept, strict=True):
            p.data = values

    monkeypatch.setattr(run, "save_final", emptied)
    with pytest.raises(ValueError, match=r"adapter: the saved policy gives .* the weights were not saved correctly"):
        trained(task(tmp_path, tiny_policy, scored, adapter=LORA), **FAST)
    assert not (tmp_path / "final").exists()


@pytest.mark.parametrize("targets", [["q_projection"], "no_such_layer.*"])
def test_layers_that_the_model_does_not_have(targets, tiny_policy):
    assert set(linear_layers(load_model(tiny_policy, "cpu"))) == LAYERS | {"lm_head"}
    with pytest.raises(
        ValueError, match=r"^model.adapter.target_modules=.*; set it to all-linear .*layers: .*k_proj, .*q_proj"
    ) as caught:
        in_training(tiny_policy, adapter("lora", target_modules=targets))
    assert "\n" not in str(caught.value)


def test_some_layers_by_name(tiny_policy):
    model = in_training(tiny_policy, adapter("lora", target_modules=["q_proj", "v_proj"]))
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(learning) == 2 * 2 * 2
    assert all("q_proj" in name or "v_proj" in name for name in learning)


def test_the_same_seed_draws_the_same_adapter(tiny_policy):
    torch.manual_seed(5)
    first = in_training(tiny_policy).state_dict()
    torch.manual_seed(6)
    second = in_training(tiny_policy).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_head_that_is_the_embedding_too_is_refused(tiny_policy):
    model = load_model(tiny_policy, "cpu")
    model.lm_head.weight = model.model.embed_tokens.weight
    with pytest.raises(ValueError, match=r"^model.adapter.target_modules=\['lm_head'\]: lm_head shares its weights"):
        with_adapter(model, adapter_of(adapter("lora", target_modules=["lm_head"])), seed=0)


def test_layers_are_looked_for_in_a_model_without_weights(tiny_policy):
    node = {"path": str(tiny_policy.folder), "dtype": "auto", "attention": "auto", "trust_remote_code": False}
    empty, _ = preflight(tiny_policy.folder, {**node, "chat_template": None})
    with pytest.raises(ValueError, match=r"^model.adapter.target_modules=\['q'\]: "):
        check_layers(adapter("lora", target_modules=["q"]), empty)


@pytest.mark.parametrize(("model_type", "left"), [("gpt_oss", True), ("mixtral", False)])
def test_experts_that_peft_leaves_out_are_said_before_the_training(model_type, left, caplog):
    """gpt-oss's: in each of 3 layers 4 experts of 32 x 96 and of 48 x 32. Mixtral's are adapted."""
    model = tiny(model_type)
    share = 100 * 3 * 4 * (32 * 96 + 48 * 32) / sum(weight.numel() for weight in model.parameters())
    check_layers(adapter("lora"), model)
    said = [
        f"model.adapter.target_modules=all-linear: 6 weights that are no linear layers, {share:.0f}% of the model, "
        "have no adapter and stay as they are: model.layers.0.mlp.experts.gate_up_proj, ... (experts, as a rule)"
    ]
    assert ours(caplog) == (said if left else [])


def test_experts_are_not_spoken_of_where_layers_are_named(caplog):
    check_layers(adapter("lora", target_modules=["q_proj"]), tiny("gpt_oss"))
    assert ours(caplog) == []


def ours(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("apm_exp")]
