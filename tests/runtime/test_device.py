import pytest
import torch

from apm_exp.runtime.device import multiplies_bfloat16, pick_device

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr("apm_exp.runtime.device._DRIVERS", ("/",))
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
    monkeypatch.setattr("apm_exp.runtime.device._DRIVERS", ("/no/such/device",))
    assert pick_device({"device": "auto"}) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CPU", ""])
def test_other_names(name):
    with pytest.raises(ValueError, match=rf"runtime\.device={name}: not a device; choose from auto, cpu"):
        pick_device({"device": name})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 sha_ni\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
    ],
)
def test_a_cpu_multiplies_bfloat16_where_it_has_units_for_it(tmp_path, flags, expected):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n" + flags)
    assert multiplies_bfloat16("cpu", tmp_path / "cpuinfo") is expected
    assert not multiplies_bfloat16("cpu", tmp_path / "missing")
    assert not multiplies_bfloat16("mps")
