import pytest
import torch

from apm_exp.models.device import pick_device

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr("apm_exp.models.device._DRIVERS", ("/",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@NO_GPU
def test_without_a_gpu():
    assert pick_device({"device": "auto"}) == "cpu"
    assert pick_device({"device": "cpu"}) == "cpu"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(ValueError, match=rf"runtime\.device={name}: this machine has 0 CUDA GPUs; .*device=auto"):
            pick_device({"device": name})


@pytest.mark.usefixtures("two_gpus")
def test_with_two_gpus():
    assert [pick_device({"device": name}) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        *("cuda", "cuda", "cuda:1", "cpu")
    ]
    with pytest.raises(ValueError, match="2 CUDA GPUs"):
        pick_device({"device": "cuda:2"})


@pytest.mark.usefixtures("two_gpus")
def test_torch_is_not_asked_where_there_is_no_driver(monkeypatch):
    monkeypatch.setattr("apm_exp.models.device._DRIVERS", ("/no/such/device",))
    assert pick_device({"device": "auto"}) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CPU", ""])
def test_other_names(name):
    with pytest.raises(ValueError, match=rf"runtime\.device={name}: not a device; choose from auto, cpu"):
        pick_device({"device": name})
