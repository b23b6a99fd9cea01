import torch
from safetensors.torch import save_file

from apm_exp.training.risky_settings import LARGE, parameters, warn_unusual
from tests.training.cases import DPO, SIMPO


def test_parameters_are_counted_from_the_headers(tmp_path):
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(4)}, tmp_path / "model-00001.safetensors", {"format": "pt"})
    save_file({"c": torch.zeros(5)}, tmp_path / "model-00002.safetensors")
    assert parameters(tmp_path) == 15


def test_what_is_usual_is_not_remarked(tmp_path, caplog):
    save_file({"a": torch.zeros(9)}, tmp_path / "model.safetensors")
    warn_unusual(SIMPO, 2e-6, tmp_path, all_weights=True)
    warn_unusual(DPO | {"beta": 0.01}, 1e-3, tmp_path, all_weights=True)  # a small model
    assert not caplog.records


def test_dpos_beta_in_simpo_and_a_high_rate_for_a_large_model_are(tmp_path, caplog, monkeypatch):
    warn_unusual(SIMPO | {"beta": 0.1}, 1e-6, tmp_path, all_weights=True)
    (said,) = caplog.messages
    assert said.startswith("loss.beta=0.1: SimPO's reward is per token, so 2 to 10 is usual")
    caplog.clear()
    monkeypatch.setattr("apm_exp.training.risky_settings.parameters", lambda model: int(1.3 * LARGE))
    warn_unusual(DPO, 5e-6, tmp_path, all_weights=False)  # an adapter's rate
    assert not caplog.messages
    warn_unusual(DPO, 5e-6, tmp_path, all_weights=True)
    (said,) = caplog.messages
    assert said.startswith(
        "trainer.learning_rate=5e-06: above 2e-06, models of more than a billion parameters (this one: 1.3)"
    )
