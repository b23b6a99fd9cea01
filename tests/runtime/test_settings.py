"""How many processes a machine takes, and what the runtime node sets."""

import pytest
import torch

from apm_exp.core import component
from apm_exp.runtime import settings as runtime
from apm_exp.runtime.settings import check_devices
from tests.training import cases


@pytest.mark.parametrize(
    ("device", "processes", "message"),
    [
        ("cuda", 8, r"^runtime.processes=8: this machine has 4 CUDA GPUs; use runtime.processes=4$"),
        ("cuda:1", 2, r"^runtime.processes=2: runtime.device=cuda:1 names one device; .*use runtime.device=cuda or"),
        ("mps", 2, r"^runtime.processes=2: runtime.device=mps names one device"),
    ],
)
def test_more_processes_than_devices_is_an_error(device, processes, message, monkeypatch):
    monkeypatch.setattr(runtime, "pick_device", lambda node: node["device"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ValueError, match=message):
        check_devices({"device": device, "processes": processes})
    check_devices({"device": device, "processes": 1})
    check_devices({"device": "cuda", "processes": 4})
    check_devices({"device": "cpu", "processes": 8})


def test_tf32_is_off_unless_asked_for():
    products = torch.backends.cuda.matmul
    try:
        component.bind("runtime", cases.runtime())()
        assert products.fp32_precision != "tf32"
        component.bind("runtime", cases.runtime(tf32=True))()
        assert products.fp32_precision == "tf32"
    finally:
        products.fp32_precision = "ieee"
